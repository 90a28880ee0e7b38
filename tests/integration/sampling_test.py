"""Penalties, bias, lists of ids, seeds, choices and stops through the openai SDK, against the log probabilities of the raw logits.

Differences of log probabilities are differences of logits: enough to say which token an edit must bring to the top.
"""

import unittest

import clients

PROMPT = "Once upon a time there was a little"
SEED = 1234


class SamplingTest(clients.OpenAiCase):

    def complete(self, max_tokens=12, temperature=0, extra=None, **fields):
        extra = {"return_token_ids": True, **(extra or {})}
        return self.client.completions.create(model=self.model, prompt=PROMPT, max_tokens=max_tokens, temperature=temperature,
                                              extra_body=extra, **fields)

    def ids(self, answer, index=0):
        return answer.choices[index].model_extra["token_ids"]

    def first_tokens(self):
        """[(id, log probability)] of the three likeliest first tokens, each found by forbidding those before it."""
        found = []
        for _ in range(3):
            bias = {str(token): -100 for token, _ in found}
            answer = self.complete(max_tokens=1, logprobs=1, logit_bias=bias)
            found.append((self.ids(answer)[0], answer.choices[0].logprobs.token_logprobs[0]))
        return found

    def test_bias_moves_a_token_by_exactly_its_value(self):
        (first, best), (second, next_best), _ = self.first_tokens()
        gap = best - next_best
        self.assertGreater(gap, 0)
        for bias, expected in ((gap + 0.01, second), (gap - 0.01, first)):
            answer = self.complete(max_tokens=1, logprobs=0, logit_bias={str(second): bias})
            self.assertEqual(self.ids(answer), [expected])
            self.assertAlmostEqual(answer.choices[0].logprobs.token_logprobs[0], next_best if expected == second else best, places=5)

    def test_allowed_ids_are_all_that_is_drawn(self):
        allowed = [token for token, _ in self.first_tokens()]
        answer = self.complete(max_tokens=16, temperature=1, seed=SEED, extra={"allowed_token_ids": allowed, "ignore_eos": True})
        self.assertEqual(len(self.ids(answer)), 16)
        self.assertLessEqual(set(self.ids(answer)), set(allowed))

    def test_penalties_end_a_loop_where_the_numbers_say(self):
        (first, _), (second, _), _ = self.first_tokens()
        two = {"allowed_token_ids": [first, second], "ignore_eos": True}
        for name in ("frequency_penalty", "presence_penalty"):
            answer = self.complete(max_tokens=8, logprobs=0, extra={**two, name: 2.0})
            counts = {first: 0, second: 0}
            for position, token in enumerate(self.ids(answer)):
                logprob = {token: answer.choices[0].logprobs.token_logprobs[position]}
                other = second if token == first else first
                # The other one's raw value, from the same point without a penalty but with only that id allowed.
                forced = self.client.completions.create(
                    model=self.model, prompt=self.prompt_ids() + self.ids(answer)[:position], max_tokens=1, temperature=0, logprobs=0,
                    extra_body={"allowed_token_ids": [other], "ignore_eos": True})
                logprob[other] = forced.choices[0].logprobs.token_logprobs[0]
                times = (lambda n: n) if name == "frequency_penalty" else (lambda n: min(n, 1))
                edited = {t: logprob[t] - 2.0 * times(counts[t]) for t in counts}
                if abs(edited[first] - edited[second]) > 0.01:
                    self.assertEqual(token, max(edited, key=edited.get), f"{name}, position {position}")
                counts[token] += 1
            self.assertGreater(min(counts.values()), 0, f"{name} changed nothing")

    def prompt_ids(self):
        return self.server.call("POST", "/tokenize", {"model": self.model, "prompt": PROMPT})["tokens"]

    def test_repetition_penalty_changes_a_loop_and_one_is_none(self):
        plain = self.complete(max_tokens=40)
        self.assertEqual(self.ids(plain), self.ids(self.complete(max_tokens=40, extra={"repetition_penalty": 1.0})))
        self.assertNotEqual(self.ids(plain), self.ids(self.complete(max_tokens=40, extra={"repetition_penalty": 2.0})))

    def test_a_bad_word_is_never_completed(self):
        plain = self.complete(max_tokens=40).choices[0].text
        word = max(plain.split(), key=len)
        self.assertIn(f" {word}", plain)
        self.assertNotIn(f" {word}", self.complete(max_tokens=40, extra={"bad_words": [word]}).choices[0].text)

    def test_choices_are_the_answers_of_their_seeds_in_any_batch(self):
        both = self.complete(temperature=1, seed=SEED, n=3)
        alone = [self.complete(temperature=1, seed=SEED + k) for k in range(3)]
        self.assertEqual([self.ids(both, k) for k in range(3)], [self.ids(answer) for answer in alone])
        self.assertGreater(len({tuple(self.ids(answer)) for answer in alone}), 1)

    def test_a_stop_string_is_shown_if_asked_for(self):
        plain = self.complete(max_tokens=40).choices[0].text
        stop = plain[5:9]
        cut = self.complete(max_tokens=40, stop=[stop]).choices[0]
        shown = self.complete(max_tokens=40, stop=[stop], extra={"include_stop_str_in_output": True}).choices[0]
        self.assertEqual(shown.text, plain[:plain.index(stop) + len(stop)])
        self.assertEqual(cut.text + stop, shown.text)
        self.assertEqual((cut.finish_reason, shown.finish_reason), ("stop", "stop"))

    def test_a_stop_string_over_several_tokens_shows_nothing_of_itself(self):
        plain = self.complete(max_tokens=40, logprobs=0).choices[0]
        starts = plain.logprobs.text_offset
        for token in range(4, 12):
            # From the middle of one token into the middle of the next but one.
            first, last = starts[token] + 1, starts[token + 2] + 1
            stop = plain.text[first:last]
            want = plain.text[:plain.text.index(stop)]
            seen, finish = "", None
            for event in self.complete(max_tokens=40, stop=[stop], stream=True):
                for choice in event.choices:
                    seen += choice.text
                    finish = choice.finish_reason or finish
                    self.assertTrue(want.startswith(seen), f"{stop!r}: {seen!r}")
            self.assertEqual((seen, finish), (want, "stop"))

    def test_a_stop_id_ends_the_answer_and_is_counted(self):
        plain = self.ids(self.complete(max_tokens=20))
        stop = plain[7]
        want = plain[:plain.index(stop) + 1]
        answer = self.complete(max_tokens=20, extra={"stop_token_ids": [stop]})
        self.assertEqual(self.ids(answer), want)
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("stop", len(want)))
        self.assertEqual(self.ids(self.complete(max_tokens=20, extra={"stop_token_ids": [stop], "ignore_eos": True})), plain)


if __name__ == "__main__":
    unittest.main()
