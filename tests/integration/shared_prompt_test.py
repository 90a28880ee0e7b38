"""16 clients, one system prompt of 512 tokens: nobody fails, everybody gets the answer that they would get alone.

Once with the prompt configured (its pages are pinned), once without (then the prefix cache shares it).
"""

import unittest

import harness

NUM_CLIENTS = 16
SYSTEM_PROMPT_FILE = harness.ROOT / "tests" / "integration" / "data" / "system_prompt.txt"
SYSTEM_PROMPT = SYSTEM_PROMPT_FILE.read_text(encoding="utf-8")
SYSTEM_PROMPT_TOKENS = 512
SLACK_BYTES = 64 << 20
QUESTIONS = [
    "When do you open on Saturday?", "How many films may I take home?", "What does a lost card cost?",
    "Is the library open on Monday?", "Can I print a page?", "Who may have a free card?",
    "Do children have a story hour?", "May I eat in the reading room?", "How long can I keep a game?",
    "Are dogs allowed?", "Where are the old newspapers?", "At what time does the book circle meet?",
    "Could I extend a loan?", "For how long may I use a computer?", "Tell me about maps.", "Until when are you open today?",
]
FIELDS = {"temperature": 0, "max_tokens": 24, "return_token_ids": True}


def messages(question, system=SYSTEM_PROMPT):
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def ask(server, question):
    """(answer's ids, cached tokens, prompt ids)"""
    answer = server.chat(messages=messages(question), **FIELDS)
    return (answer["choices"][0]["token_ids"], answer["usage"]["prompt_tokens_details"]["cached_tokens"],
            answer["prompt_token_ids"])


def solo_answers(*arguments):
    """What each question is answered when the server does nothing else and has cached nothing."""
    with harness.Server("--prefix-cache", "off", *arguments) as server:
        return [ask(server, question)[0] for question in QUESTIONS]


def burst(server, questions=QUESTIONS):
    return harness.all_at_once([lambda question=question: ask(server, question) for question in questions])


def shared_start(server, conversations):
    """Number of ids that all these conversations begin with, and those ids: what a pin of their system prompt holds."""
    ids = [server.chat(messages=conversation, temperature=0, max_tokens=1, return_token_ids=True)["prompt_token_ids"]
           for conversation in conversations]
    return ids[0][:harness.common_prefix(ids[0], ids[1])]


class SharedPromptTest(unittest.TestCase):

    def assert_memory_kept(self, server):
        self.assertLessEqual(server.resident_bytes(), server.planned_bytes() + SLACK_BYTES)

    def assert_cached_is_pin_plus_blocks(self, cached, pin_ids, prompt_ids):
        """cached_tokens = c + 32 x private blocks hit, and the page of the last token is always computed."""
        c = min(harness.common_prefix(pin_ids, prompt_ids), len(prompt_ids) - 1)
        private = cached - c
        self.assertGreaterEqual(private, 0)
        self.assertEqual(private % harness.PAGE_TOKENS, 0)
        self.assertLessEqual(private // harness.PAGE_TOKENS, (len(prompt_ids) - 1 - c) // harness.PAGE_TOKENS)
        return c

    def test_the_prompt_has_512_tokens(self):
        with harness.Server() as server:
            count = len(server.call("POST", "/tokenize", {"model": server.model_name(), "prompt": SYSTEM_PROMPT})["tokens"])
        self.assertEqual(count, SYSTEM_PROMPT_TOKENS)

    def test_pinned(self):
        arguments = ("--system-prompt-file", SYSTEM_PROMPT_FILE)
        want = solo_answers(*arguments)
        with harness.Server(*arguments) as server:
            pin_ids = shared_start(server, [messages("Alpha"), messages("7")])
            self.assertGreaterEqual(len(pin_ids), SYSTEM_PROMPT_TOKENS)
            for round_number in range(2):  # the second meets the first one's pages in the prefix cache
                results = burst(server)
                self.assertEqual([ids for ids, _, _ in results], want, f"round {round_number}")
                for _, cached, prompt_ids in results:
                    c = self.assert_cached_is_pin_plus_blocks(cached, pin_ids, prompt_ids)
                    self.assertEqual(c, len(pin_ids))
            self.assert_memory_kept(server)
            server.wait_idle()

    def test_not_pinned(self):
        want = solo_answers()
        with harness.Server() as server:
            # The default pin is the template's own system prompt; ours shares its first tokens.
            pin_ids = shared_start(server, [[{"role": "user", "content": text}] for text in ("Alpha", "7")])

            # The cold burst: all compute the same prefix side by side.
            self.assertEqual([ids for ids, _, _ in burst(server)], want)
            self.assert_memory_kept(server)
            server.wait_idle()

        with harness.Server() as server:
            # Cold again; the other fifteen are sent once the first answer has begun.
            with server.stream("/v1/chat/completions", messages=messages(QUESTIONS[0]), **FIELDS) as events:
                iterator = iter(events)
                first_ids = []
                while not first_ids:
                    first_ids += [i for choice in next(iterator)["choices"] for i in choice.get("token_ids") or []]
                results = burst(server, QUESTIONS[1:])
                for event in iterator:
                    first_ids += [i for choice in event["choices"] for i in choice.get("token_ids") or []]
            self.assertEqual(first_ids, want[0])
            self.assertEqual([ids for ids, _, _ in results], want[1:])
            for _, cached, prompt_ids in results:
                c = self.assert_cached_is_pin_plus_blocks(cached, pin_ids, prompt_ids)
                self.assertGreaterEqual(c, 1)
                self.assertLess(c, SYSTEM_PROMPT_TOKENS)
                self.assertGreaterEqual(cached, 448)
            self.assert_memory_kept(server)
            server.wait_idle()


if __name__ == "__main__":
    unittest.main()
