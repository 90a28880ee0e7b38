"""A client that leaves, over either wire, gives its pages back; the others do not notice."""

import unittest

import clients
import harness

MESSAGES = [{"role": "user", "content": "Count upwards from one, in words."}]
# A cancel is in force from the next step on; until it is heard of, a packet and an I/O thread are on their way.
STEPS_UNTIL_HEARD = 75  # half a second at the best of speeds
ENDLESS = {"temperature": 0.0, "max_tokens": 1500, "ignore_eos": True}  # some ten seconds at the best of speeds


class CancelTest(harness.ServerCase):

    def assert_cancelled(self, leave):
        """Runs `leave` (which starts, reads a little and goes) and checks that what it held is back."""
        before = self.server.wait_idle()
        steps = self.server.counter("intactkv_steps_total")
        tokens = self.server.counter("intactkv_generation_tokens_total")
        cancelled = self.cancelled()
        leave()
        steps_at_leave = self.server.counter("intactkv_steps_total")
        self.assertLess(steps_at_leave - steps, ENDLESS["max_tokens"])  # it was running when its client left
        after = self.server.wait_idle()
        steps_at_end = self.server.counter("intactkv_steps_total")
        self.assertLess(steps_at_end - steps_at_leave, STEPS_UNTIL_HEARD)
        # Alone, each step is at most one token, so nothing was generated after the last step either.
        self.assertLessEqual(self.server.counter("intactkv_generation_tokens_total") - tokens, steps_at_end - steps)
        self.assertEqual(self.cancelled() - cancelled, 1)
        for name, pages in after["pages"].items():
            self.assertEqual(pages["total"], before["pages"][name]["total"])
            self.assertEqual(pages["free"] + pages["cached"] + pages["pinned"], pages["total"], name)
            self.assertEqual(pages["pinned"], before["pages"][name]["pinned"])

    def cancelled(self):
        """Requests that ended for neither of the two good reasons."""
        return sum(value for name, value in self.server.metrics().items()
                   if name.startswith("intactkv_requests_finished_total")
                   and 'reason="stop"' not in name and 'reason="length"' not in name)

    def first_events(self, stream, count=4):
        iterator = iter(stream)
        return [next(iterator) for _ in range(count)]

    def test_rest_stream_closed_by_its_client(self):
        def leave():
            with self.server.stream("/v1/chat/completions", messages=MESSAGES, **ENDLESS) as events:
                self.first_events(events)
                self.assertGreater(sum(pages["owned"] for pages in self.server.audit()["pages"].values()), 0)
        self.assert_cancelled(leave)

    def test_rest_whole_answer_given_up(self):
        def leave():
            connection = harness.http.client.HTTPConnection(self.server.http)
            body = {"model": self.server.model_name(), "messages": MESSAGES, **ENDLESS}
            connection.request("POST", "/v1/chat/completions", harness.json.dumps(body),
                               {"Content-Type": "application/json"})
            harness.wait_until(lambda: any(p["owned"] for p in self.server.audit()["pages"].values()), "it runs")
            connection.close()
        self.assert_cancelled(leave)

    def test_grpc_stream_cancelled(self):
        def leave():
            with clients.GeneratedClient(self.server.grpc) as client:
                call = client.generate(messages=MESSAGES, **ENDLESS)
                self.first_events(call)
                call.cancel()
        self.assert_cancelled(leave)

    def test_grpc_unary_cancelled(self):
        def leave():
            with clients.GeneratedClient(self.server.grpc) as client:
                request = client.messages.GenerateRequest(messages=MESSAGES, **ENDLESS)
                call = client.stub.GenerateUnary.future(request)
                harness.wait_until(lambda: any(p["owned"] for p in self.server.audit()["pages"].values()), "it runs")
                call.cancel()
        self.assert_cancelled(leave)

    def test_grpc_aborted_by_another_client(self):
        def leave():
            with clients.GeneratedClient(self.server.grpc) as client, clients.ReflectionClient(self.server.grpc) as other:
                call = client.generate(messages=MESSAGES, **ENDLESS)
                first = self.first_events(call)
                other.ask("Abort", request_id=first[0].id)
                self.assertEqual(clients.fault_of(lambda: list(call))[:2], ("CANCELLED", "cancelled"))
                self.assertEqual(clients.fault_of(lambda: other.ask("Abort", request_id=first[0].id))[:3],
                                 ("NOT_FOUND", "not_found", "request_id"))
        self.assert_cancelled(leave)

    def test_grpc_deadline_ends_the_sequence(self):
        def leave():
            with clients.GeneratedClient(self.server.grpc) as client:
                with self.assertRaises(clients.grpc.RpcError) as caught:
                    list(client.generate(timeout=1.0, messages=MESSAGES, **ENDLESS))
                self.assertEqual(caught.exception.code(), clients.grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assert_cancelled(leave)

    def test_others_do_not_notice(self):
        question = {"messages": [{"role": "user", "content": "Name the capital of France."}], "temperature": 0,
                    "max_tokens": 24, "return_token_ids": True}
        want = self.server.chat(**question)["choices"][0]["token_ids"]

        def leaving_client():
            with self.server.stream("/v1/chat/completions", messages=MESSAGES, **ENDLESS) as events:
                self.first_events(events, 3)

        def staying_client():
            return self.server.chat(**question)["choices"][0]["token_ids"]

        results = harness.all_at_once([leaving_client, staying_client] * 4)
        self.assertEqual(results[1::2], [want] * 4)
        self.server.wait_idle()


if __name__ == "__main__":
    unittest.main()
