"""Qwen2.5-Coder-0.5B-Instruct in Q4_K_M, served in the default configuration to the openai SDK. Long: it is 491 MB."""

import unittest

import clients
import harness

QUESTION = [{"role": "user", "content": "Write a Python function that adds two numbers."}]
SYSTEM = [{"role": "system", "content": "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."}]


class SecondModelTest(clients.OpenAiCase):

    MODEL = harness.model_path("INTACTKV_TEST_SECOND_MODEL", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf")

    def test_answers_with_a_function(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=200)
        text = answer.choices[0].message.content
        self.assertIn("def ", text)
        self.assertIn("return", text)

    def test_the_template_s_default_system_prompt_is_pinned(self):
        answer = self.client.chat.completions.create(model=self.model, messages=QUESTION, temperature=0, max_tokens=1)
        system = self.server.call("POST", "/tokenize", {"model": self.model, "messages": SYSTEM,
                                                        "add_generation_prompt": False})["count"]
        # A request that names no system prompt shares it, and the opening of the user's turn.
        self.assertGreaterEqual(system, 20)
        self.assertGreaterEqual(answer.usage.prompt_tokens_details.cached_tokens, system)


if __name__ == "__main__":
    unittest.main()
