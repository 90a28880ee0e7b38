"""The prompt's own log probabilities: `echo` with `logprobs` through the openai SDK and over gRPC, as evaluation tools read them."""

import unittest

import clients
import harness

PROMPT = "The capital of France is Paris, and the capital of Italy is"
MESSAGES = [{"role": "user", "content": "Name a colour."}]


class EchoTest(clients.OpenAiCase):

    def complete(self, prompt=PROMPT, max_tokens=0, temperature=0, **fields):
        return self.client.completions.create(model=self.model, prompt=prompt, max_tokens=max_tokens, temperature=temperature, **fields)

    def tokenize(self, text):
        return self.server.call("POST", "/tokenize", {"model": self.model, "prompt": text})["tokens"]

    def forced(self, ids, token):
        """The log probability of `token` after `ids`, as the only token that may be drawn."""
        answer = self.complete(ids, max_tokens=1, logprobs=0, extra_body={"allowed_token_ids": [token], "ignore_eos": True})
        return answer.choices[0].logprobs.token_logprobs[0]

    def test_each_is_what_a_request_that_ends_there_reports(self):
        ids = self.tokenize(PROMPT)
        answer = self.complete(echo=True, logprobs=2)
        choice = answer.choices[0]
        self.assertEqual((choice.text, choice.finish_reason), (PROMPT, "length"))
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (len(ids), 0))
        logprobs = choice.logprobs
        self.assertEqual("".join(logprobs.tokens), PROMPT)
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertIsNone(logprobs.top_logprobs[0])
        for i in range(1, len(ids)):
            self.assertEqual(logprobs.token_logprobs[i], self.forced(ids[:i], ids[i]), f"token {i}")
            top = logprobs.top_logprobs[i]
            self.assertIn(len(top), (2, 3))
            self.assertEqual(top[logprobs.tokens[i]], logprobs.token_logprobs[i])
        for token, start in zip(logprobs.tokens, logprobs.text_offset):
            self.assertTrue(PROMPT[start:].startswith(token))

    def test_the_sum_that_evaluation_harnesses_read(self):
        context, continuation = self.tokenize(PROMPT), self.tokenize(" Rome")
        choice = self.complete([context + continuation], max_tokens=1, echo=True, logprobs=1, seed=1234).choices[0]
        scores = choice.logprobs.token_logprobs[len(context):-1]
        tops = choice.logprobs.top_logprobs[len(context):-1]
        self.assertEqual(len(scores), len(continuation))
        self.assertEqual(sum(scores), sum(self.forced(context + continuation[:i], token) for i, token in enumerate(continuation)))
        is_greedy = all(token == max(top, key=top.get) for token, top in zip(choice.logprobs.tokens[len(context):-1], tops))
        greedy = self.complete(context, max_tokens=len(continuation), extra_body={"return_token_ids": True})
        self.assertEqual(is_greedy, greedy.choices[0].model_extra["token_ids"] == continuation)

    def test_below_the_pin_too(self):
        chat = self.server.chat(messages=MESSAGES, max_tokens=1, return_token_ids=True)
        ids, pinned = chat["prompt_token_ids"], chat["usage"]["prompt_tokens_details"]["pinned_tokens"]
        self.assertGreater(pinned, 8)
        answer = self.complete(ids, echo=True, logprobs=0)
        self.assertEqual(answer.usage.prompt_tokens_details.model_extra["pinned_tokens"], pinned)
        logprobs = answer.choices[0].logprobs.token_logprobs
        self.assertEqual(len(logprobs), len(ids))
        # The last pinned row of a shorter prompt is computed by the served weights, so only nearly the same.
        for i in range(2, pinned, 5):
            self.assertAlmostEqual(logprobs[i], self.forced(ids[:i], ids[i]), delta=0.25 + 0.02 * abs(logprobs[i]), msg=f"token {i}")
        self.assertEqual(logprobs[-1], self.forced(ids[:-1], ids[-1]))

    def test_echo_is_put_in_front_of_each_choice_whole_and_streamed(self):
        fields = {"max_tokens": 6, "n": 2, "seed": 5, "temperature": 1.0}
        plain = self.complete(**fields)
        for logprobs in (None, 1):
            whole = self.complete(echo=True, logprobs=logprobs, **fields)
            texts, tokens, scores = ["", ""], [[], []], [[], []]
            for event in self.complete(echo=True, logprobs=logprobs, stream=True, **fields):
                for choice in event.choices:
                    texts[choice.index] += choice.text
                    if choice.logprobs is not None:
                        tokens[choice.index] += choice.logprobs.tokens
                        scores[choice.index] += choice.logprobs.token_logprobs
            for k in range(2):
                self.assertEqual(whole.choices[k].text, PROMPT + plain.choices[k].text)
                self.assertEqual(texts[k], whole.choices[k].text)
                if logprobs is not None:
                    self.assertEqual(tokens[k], whole.choices[k].logprobs.tokens)
                    self.assertEqual(scores[k], whole.choices[k].logprobs.token_logprobs)
            self.assertEqual(whole.usage.completion_tokens, plain.usage.completion_tokens)

    def test_the_same_over_grpc(self):
        rest = self.complete(echo=True, logprobs=2, max_tokens=5).choices[0]
        with clients.GeneratedClient(self.server.grpc) as client:
            entries, text = [], ""
            for message in client.generate(prompt=PROMPT, echo=True, logprobs=True, top_logprobs=2, max_tokens=5, temperature=0):
                text += message.text
                entries += message.logprobs
        self.assertEqual(text, rest.text)
        self.assertEqual([entry.token for entry in entries], rest.logprobs.tokens)
        self.assertFalse(entries[0].HasField("logprob"))
        for entry, want in zip(entries[1:], rest.logprobs.token_logprobs[1:]):
            self.assertAlmostEqual(entry.logprob, want, places=5)
        self.assertGreater(len(entries), 5)

    def test_a_long_prompt_in_many_steps_is_scored_once(self):
        text = PROMPT + " Rome." + " And so on, and so forth, as long as it takes." * 60
        answers = harness.all_at_once([lambda: self.complete(text, echo=True, logprobs=0).choices[0].logprobs for _ in range(3)])
        for logprobs in answers:
            self.assertEqual("".join(logprobs.tokens), text)
            self.assertEqual(logprobs.token_logprobs, answers[0].token_logprobs)
        self.assertGreater(len(answers[0].tokens), 600)


if __name__ == "__main__":
    unittest.main()
