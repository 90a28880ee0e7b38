"""A Hugging Face directory of each family, tied and untied, in one file and in two: served by the binary, it gives the same greedy
text over REST, whole and streamed, and over gRPC."""

import pathlib
import tempfile
import unittest

import clients
import harness
import model_directory

MESSAGES = [{"role": "user", "content": "Tell me of the sea, and of the ships that cross it."}]
FIELDS = {"temperature": 0.0, "max_tokens": 40, "ignore_eos": True, "return_token_ids": True}


class DirectoryTest(unittest.TestCase):

    def check(self, folder):
        with harness.Server("--threads", "1", model=folder) as server:
            rest = server.chat(messages=MESSAGES, **FIELDS)
            want = (rest["choices"][0]["message"]["content"], rest["choices"][0]["token_ids"], rest["prompt_token_ids"])
            self.assertEqual(len(want[1]), FIELDS["max_tokens"])
            self.assertGreater(len(set(want[1])), 1)
            self.assertIn("sea", server.call("POST", "/detokenize", {"model": server.model_name(), "tokens": want[2]})["prompt"])
            text, ids = "", []
            with server.stream("/v1/chat/completions", messages=MESSAGES, **FIELDS) as events:
                for event in events:
                    for choice in event["choices"]:
                        text += choice["delta"].get("content") or ""
                        ids += choice.get("token_ids") or []
            self.assertEqual((text, ids), want[:2])
            with clients.GeneratedClient(server.grpc) as client:
                self.assertEqual(clients.collect(client.generate(messages=MESSAGES, **FIELDS))[:3], want)
                echo = list(client.generate(token_ids=client.messages.TokenIds(ids=want[2]), max_tokens=0, echo=True, logprobs=True))
            for prompt in ("The sea is wide", " and so on"):
                fields = {"prompt": prompt, "max_tokens": 2, "ignore_eos": True, "temperature": 0, "echo": True, "logprobs": 0}
                choice = server.call("POST", "/v1/completions", {"model": server.model_name(), **fields})["choices"][0]
                self.assertTrue(choice["text"].startswith(prompt))
                places = choice["logprobs"]["text_offset"][:-2]
                last = len(prompt) - places[-1]
                self.assertTrue(choice["logprobs"]["tokens"][:-2][-1].endswith(prompt[-last:]), "the last token's place")
            scored = [entry for message in echo for entry in message.logprobs]
            self.assertEqual([entry.token_id for entry in scored], want[2])
            server.wait_idle()
            return want

    def test_each_family_gives_one_answer_on_both_wires(self):
        answers = []
        with tempfile.TemporaryDirectory() as root:
            for family in model_directory.FAMILIES:
                for tied in (True, False):
                    with self.subTest(family=family, tied=tied):
                        folder = pathlib.Path(root) / f"{family}-{tied}"
                        model_directory.write(folder, family, tied)
                        answers.append(self.check(folder))
        self.assertEqual(len({tuple(ids) for _, ids, _ in answers}), 2 * len(model_directory.FAMILIES), "two models answer alike")

    def test_two_shards_are_one_model(self):
        with tempfile.TemporaryDirectory() as root:
            folders = [pathlib.Path(root) / f"shards-{count}" for count in (1, 2)]
            for count, folder in enumerate(folders, start=1):
                model_directory.write(folder, "qwen3", tied=False, num_shards=count)
            self.assertEqual(self.check(folders[0]), self.check(folders[1]))


if __name__ == "__main__":
    unittest.main()
