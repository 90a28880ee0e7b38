"""One greedy request, four ways in: REST, REST streamed, gRPC by reflection, gRPC by generated code. The same ids."""

import unittest

import clients
import harness

MESSAGES = [{"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "Why is the sky blue?"}]
FIELDS = {"temperature": 0.0, "max_tokens": 40, "return_token_ids": True}


class SameIdsTest(harness.ServerCase):

    def rest(self):
        answer = self.server.chat(messages=MESSAGES, **FIELDS)
        choice = answer["choices"][0]
        return choice["message"]["content"], choice["token_ids"], answer["prompt_token_ids"], choice["finish_reason"]

    def rest_streamed(self):
        text, ids, prompt_ids, finish = "", [], None, None
        with self.server.stream("/v1/chat/completions", messages=MESSAGES, **FIELDS) as events:
            for event in events:
                prompt_ids = event.get("prompt_token_ids") or prompt_ids
                for choice in event["choices"]:
                    text += choice["delta"].get("content") or ""
                    ids += choice.get("token_ids") or []
                    finish = choice["finish_reason"] or finish
        return text, ids, prompt_ids, finish

    def test_four_ways_one_answer(self):
        want = self.rest()
        self.assertGreater(len(want[1]), 1)
        self.assertEqual(self.rest_streamed(), want)
        fields = {"model": self.server.model_name(), "messages": MESSAGES, **FIELDS}
        with clients.ReflectionClient(self.server.grpc) as client:
            self.assertEqual(clients.collect(client.generate(**fields))[:4], want)
        with clients.GeneratedClient(self.server.grpc) as client:
            self.assertEqual(clients.collect(client.generate(**fields))[:4], want)

    def test_prompt_ids_give_the_same_answer_on_both_wires(self):
        _, want, prompt_ids, _ = self.rest()
        answer = self.server.call("POST", "/v1/completions",
                                  {"model": self.server.model_name(), "prompt": prompt_ids, **FIELDS})
        self.assertEqual(answer["choices"][0]["token_ids"], want)
        with clients.GeneratedClient(self.server.grpc) as client:
            ids = client.messages.TokenIds(ids=prompt_ids)
            self.assertEqual(clients.collect(client.generate(token_ids=ids, **FIELDS))[1], want)

    def test_usage_is_the_same_on_both_wires(self):
        rest = self.server.chat(messages=MESSAGES, **FIELDS)["usage"]
        with clients.GeneratedClient(self.server.grpc) as client:
            usage = clients.collect(client.generate(messages=MESSAGES, **FIELDS))[4]
        self.assertEqual((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
                         (rest["prompt_tokens"], rest["completion_tokens"], rest["total_tokens"]))
        self.assertGreaterEqual(usage.prompt_tokens_details.cached_tokens, 1)

    def test_the_same_fault_has_the_same_words(self):
        status, _, text = self.server.request("POST", "/v1/chat/completions", {
            "model": self.server.model_name(), "messages": MESSAGES, "temperature": -1})
        self.assertEqual(status, 400)
        error = harness.json.loads(text)["error"]
        self.assertEqual(error["param"], "temperature")
        with clients.GeneratedClient(self.server.grpc) as client, self.assertRaises(clients.grpc.RpcError) as caught:
            list(client.generate(messages=MESSAGES, temperature=-1))
        self.assertEqual(caught.exception.code(), clients.grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn(error["message"], caught.exception.details())

    def test_reflection_health_and_model_info(self):
        with clients.ReflectionClient(self.server.grpc) as client:
            self.assertIn(clients.SERVICE, client.services())
            self.assertIn("grpc.health.v1.Health", client.services())
            self.assertEqual(client.health(), clients.health_pb2.HealthCheckResponse.SERVING)
            info = client.model_info()
        listed = self.server.call("GET", "/v1/models")["data"][0]
        self.assertEqual((info.id, info.max_model_len), (listed["id"], listed["max_model_len"]))
        self.assertEqual(info.kv, "int8")  # what --kv auto takes for this model


if __name__ == "__main__":
    unittest.main()
