"""SIGTERM lets what runs finish and refuses what comes; a second one hurries."""

import unittest

import harness

MESSAGES = [{"role": "user", "content": "Count upwards from one, in words."}]


class DrainTest(unittest.TestCase):

    def start(self, max_tokens, *arguments):
        """(server, stream, its iterator after the first content event)"""
        server = harness.Server(*arguments)
        self.addCleanup(server.kill)
        stream = server.stream("/v1/chat/completions", messages=MESSAGES, temperature=0, max_tokens=max_tokens,
                               ignore_eos=True, return_token_ids=True)
        self.addCleanup(stream.close)
        events = iter(stream)
        first = []
        while not first:
            first = [token for choice in next(events)["choices"] for token in choice.get("token_ids") or []]
        return server, events, len(first)

    def wait_draining(self, server):
        harness.wait_until(lambda: server.request("GET", "/readyz", address=server.admin)[0] == 503, "/readyz is 503")

    def test_sigterm_finishes_what_runs_and_refuses_what_comes(self):
        server, events, num_tokens = self.start(400)
        name = server.model_name()
        server.terminate()
        self.wait_draining(server)
        self.assertEqual(server.request("GET", "/livez", address=server.admin)[0], 200)
        status, headers, text = server.request("POST", "/v1/chat/completions", {"model": name, "messages": MESSAGES})
        self.assertEqual((status, harness.json.loads(text)["error"]["code"]), (503, "draining"))
        self.assertIn("retry-after", {header.lower() for header in headers})
        finish = None
        for event in events:
            for choice in event["choices"]:
                num_tokens += len(choice.get("token_ids") or [])
                finish = choice["finish_reason"] or finish
        self.assertEqual((num_tokens, finish), (400, "length"))
        self.assertEqual(server.wait_exit(), 0)

    def test_a_second_sigterm_hurries(self):
        server, events, num_tokens = self.start(1500)
        server.terminate()
        self.wait_draining(server)
        server.terminate()
        try:
            for event in events:
                for choice in event.get("choices", []):
                    num_tokens += len(choice.get("token_ids") or [])
        except (OSError, harness.http.client.HTTPException, AssertionError):
            pass  # a stream cut short is what hurrying means
        self.assertLess(num_tokens, 1500)
        self.assertEqual(server.wait_exit(), 0)

    def test_an_idle_server_ends_at_once(self):
        server = harness.Server()
        self.addCleanup(server.kill)
        server.terminate()
        self.assertEqual(server.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()
