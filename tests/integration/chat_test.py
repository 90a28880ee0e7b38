"""The default configuration, exactly what scripts/serve.sh starts, answers the openai SDK."""

import unittest

import clients

QUESTION = [{"role": "user", "content": "Name the capital of France."}]


class ChatTest(clients.OpenAiCase):

    def test_streamed_answer_names_paris(self):
        stream = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=64,
                                                     stream=True, stream_options={"include_usage": True})
        text, finishes, usages = "", [], []
        for chunk in stream:
            if chunk.usage is not None:
                usages.append(chunk.usage)
                self.assertEqual(chunk.choices, [])
                continue
            self.assertEqual(len(chunk.choices), 1)
            text += chunk.choices[0].delta.content or ""
            if chunk.choices[0].finish_reason is not None:
                finishes.append(chunk.choices[0].finish_reason)
        self.assertIn("Paris", text)
        self.assertEqual(finishes, ["stop"])
        self.assertEqual(len(usages), 1)
        self.assertGreaterEqual(usages[0].prompt_tokens_details.cached_tokens, 1)

    def test_whole_answer_names_paris(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=64)
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        usage = answer.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertGreaterEqual(usage.prompt_tokens_details.cached_tokens, 1)

    def test_max_tokens_ends_with_length(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=1)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 1)

    def test_completion_from_text_and_from_its_ids_agree(self):
        text = "The three primary colours are"
        ids = self.server.call("POST", "/tokenize", {"model": self.model, "prompt": text})["tokens"]
        by_text = self.client.completions.create(model=self.model, prompt=text, temperature=0, max_tokens=12)
        by_ids = self.client.completions.create(model=self.model, prompt=ids, temperature=0, max_tokens=12)
        self.assertTrue(by_text.choices[0].text)
        self.assertEqual(by_text.choices[0].text, by_ids.choices[0].text)
        self.assertEqual(by_text.usage.prompt_tokens, len(ids))
        self.assertEqual(self.server.call("POST", "/detokenize", {"model": self.model, "tokens": ids})["prompt"], text)

    def test_a_stop_string_ends_the_answer_before_itself(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=64,
                                                     stop=["Paris"])
        self.assertNotIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_logprobs_are_of_the_greedy_choice(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=8,
                                                     logprobs=True, top_logprobs=3)
        content = answer.choices[0].logprobs.content
        self.assertEqual(len(content), answer.usage.completion_tokens)
        for entry in content:
            self.assertLessEqual(entry.logprob, 0)
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.top_logprobs[0].logprob, entry.logprob)

    def test_an_unknown_model_is_the_sdks_not_found(self):
        with self.assertRaises(clients.openai.NotFoundError) as caught:
            self.client.chat.completions.create(model="no-such-model", messages=QUESTION)
        self.assertEqual(caught.exception.code, "model_not_found")


if __name__ == "__main__":
    unittest.main()
