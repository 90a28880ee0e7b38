"""All of the gRPC service, by reflection and by generated code: what it answers, refuses, and says of its health."""

import math
import queue
import threading
import unittest

import clients
import harness

MESSAGES = [{"role": "user", "content": "Name the capital of France."}]
FIELDS = {"messages": MESSAGES, "temperature": 0.0, "max_tokens": 24, "return_token_ids": True}

# (fields of a Generate, the field that the fault names): each alone in an else good request.
BAD_FIELDS = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role"),
    ({"messages": MESSAGES, "prompt": "a"}, "prompt"),
    ({"messages": [], "prompt": ""}, "prompt"),
    ({"messages": [], "token_ids": {"ids": []}}, "token_ids"),
    ({"messages": [], "token_ids": {"ids": [-1]}}, "token_ids"),
    ({"model": "other"}, "model"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 10**9}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"min_tokens": -1}, "min_tokens"),
    ({"min_tokens": 25}, "min_tokens"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": math.nan}, "temperature"),
    ({"top_k": 0}, "top_k"),
    ({"top_p": 0.0}, "top_p"),
    ({"top_p": math.inf}, "top_p"),
    ({"min_p": 1.5}, "min_p"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"frequency_penalty": 2.5}, "frequency_penalty"),
    ({"presence_penalty": -2.5}, "presence_penalty"),
    ({"repetition_penalty": 0.0}, "repetition_penalty"),
    ({"logit_bias": {1: 101.0}}, "logit_bias"),
    ({"logit_bias": {-1: 1.0}}, "logit_bias"),
    ({"allowed_token_ids": [1 << 40]}, "allowed_token_ids"),
    ({"bad_words": [""]}, "bad_words"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"stop_token_ids": [-1]}, "stop_token_ids"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": 1}, "top_logprobs"),
    ({"cache_salt": ""}, "cache_salt"),
    ({"request_id": "a b"}, "request_id"),
]


class GrpcTest(harness.ServerCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.by_reflection = cls.enterClassContext(clients.ReflectionClient(cls.server.grpc))
        cls.generated = cls.enterClassContext(clients.GeneratedClient(cls.server.grpc))
        cls.both = (cls.by_reflection, cls.generated)

    def test_whole_and_streamed_are_the_same(self):
        for client in self.both:
            text, ids, prompt_ids, finish, usage = clients.collect(client.generate(**FIELDS))
            whole = client.ask("GenerateUnary", **FIELDS)
            choice = whole.choices[0]
            self.assertGreater(len(ids), 1)
            self.assertEqual((choice.text, list(choice.token_ids), list(whole.prompt_token_ids), choice.finish_reason),
                             (text, ids, prompt_ids, finish))
            self.assertEqual((whole.usage.prompt_tokens, whole.usage.completion_tokens),
                             (usage.prompt_tokens, usage.completion_tokens))

    def test_bad_fields_are_refused_by_name(self):
        for fields, param in BAD_FIELDS:
            want = "NOT_FOUND" if param == "model" else "INVALID_ARGUMENT"
            request = {**FIELDS, **fields}
            faults = [clients.fault_of(lambda: list(client.generate(**request))) for client in self.both]
            faults += [clients.fault_of(lambda: client.ask("GenerateUnary", **request)) for client in self.both]
            with self.subTest(fields=fields):
                self.assertEqual(set(faults), {faults[0]})  # both clients, both calls: one verdict
                self.assertEqual((faults[0][0], faults[0][2]), (want, param))
                self.assertTrue(faults[0][1])
                self.assertIn(param, faults[0][3])
        self.server.wait_idle()

    def test_tokenize_and_detokenize_are_those_of_rest(self):
        for client in self.both:
            for fields in ({"prompt": "The sea is blüe."}, {"messages": MESSAGES},
                           {"messages": MESSAGES, "add_generation_prompt": False}):
                want = self.server.call("POST", "/tokenize", fields)
                got = client.ask("Tokenize", **fields)
                self.assertEqual((list(got.tokens), got.count, got.max_model_len),
                                 (want["tokens"], want["count"], want["max_model_len"]))
                text = self.server.call("POST", "/detokenize", {"tokens": want["tokens"]})["prompt"]
                self.assertEqual(client.ask("Detokenize", tokens=want["tokens"]).prompt, text)
                if "prompt" in fields:
                    self.assertEqual(text, fields["prompt"])

    def test_bad_text_is_refused_by_name(self):
        bad = [("Tokenize", {}, "prompt"), ("Tokenize", {"prompt": "a", "messages": MESSAGES}, "prompt"),
               ("Tokenize", {"messages": [{"role": "robot"}]}, "messages[0].role"),
               ("Tokenize", {"prompt": "a", "model": "other"}, "model"),
               ("Detokenize", {"tokens": [-1]}, "tokens"), ("Detokenize", {"tokens": [10**9]}, "tokens"),
               ("Detokenize", {"model": "other"}, "model"), ("Abort", {}, "request_id"),
               ("Abort", {"request_id": "nobody"}, "request_id"), ("GetModelInfo", {"model": "other"}, "model")]
        for method, fields, param in bad:
            for client in self.both:
                fault = clients.fault_of(lambda: client.ask(method, **fields))
                with self.subTest(method=method, fields=fields):
                    self.assertEqual(fault[2], param)
                    known = param != "model" and fields.get("request_id") is None
                    self.assertEqual(fault[0], "INVALID_ARGUMENT" if known else "NOT_FOUND")

    def test_an_id_of_a_running_call_is_taken(self):
        endless = {**FIELDS, "max_tokens": 1500, "ignore_eos": True, "request_id": "taken"}
        call = self.generated.generate(**endless)
        self.assertEqual(next(iter(call)).id, "taken")
        fault = clients.fault_of(lambda: list(self.by_reflection.generate(**endless)))
        self.assertEqual((fault[0], fault[2]), ("INVALID_ARGUMENT", "request_id"))
        self.by_reflection.ask("Abort", request_id="taken")
        self.assertEqual(clients.fault_of(lambda: list(call))[0], "CANCELLED")
        self.server.wait_idle()
        short = self.generated.ask("GenerateUnary", **{**FIELDS, "request_id": "taken"})  # free again
        self.assertEqual(short.id, "taken")

    def test_server_info(self):
        listed = self.server.call("GET", "/v1/models")["data"][0]
        version = self.server.call("GET", "/version")["version"]
        for client in self.both:
            info = client.ask("GetServerInfo")
            self.assertEqual((info.server_version, info.model.id, info.model.max_model_len),
                             (version, listed["id"], listed["max_model_len"]))
            self.assertEqual((info.formats.weights, info.formats.activations, info.formats.kv, info.formats.pin_dtype),
                             ("stored", "int8", "int8", "f32"))
            self.assertEqual((info.limits.max_running, info.limits.max_queue, info.limits.max_tokens_per_step),
                             (16, 512, 512))
            self.assertEqual(info.state, 2)  # ready
            pin, = info.pinned_prefixes
            chat = client.ask("Tokenize", messages=MESSAGES)
            self.assertGreater(pin.num_tokens, 1)
            self.assertLess(pin.num_tokens, chat.count)
            self.assertRegex(pin.checksum, r"^[0-9a-f]{64}$")
            used = pin.num_matches
            usage = client.ask("GenerateUnary", **FIELDS).usage
            self.assertGreaterEqual(usage.prompt_tokens_details.cached_tokens, pin.num_tokens)
            self.assertEqual(client.ask("GetServerInfo").pinned_prefixes[0].num_matches, used + 1)


class HealthTest(unittest.TestCase):

    def watch(self, address):
        """A queue of what Watch says of the service."""
        channel = clients.grpc.insecure_channel(address)
        self.addCleanup(channel.close)
        request = clients.health_pb2.HealthCheckRequest(service=clients.SERVICE)
        call = clients.health_pb2_grpc.HealthStub(channel).Watch(request, timeout=harness.DEADLINE_SECONDS)
        seen = queue.Queue()

        def read():
            try:
                for message in call:
                    seen.put(clients.health_pb2.HealthCheckResponse.ServingStatus.Name(message.status))
            except clients.grpc.RpcError:
                seen.put("ended")

        threading.Thread(target=read, daemon=True).start()
        return seen

    def test_from_loading_to_drain(self):
        # Its pin takes seconds, in which there is time to look.
        prompt = harness.ROOT / "tests" / "integration" / "data" / "system_prompt.txt"
        server = harness.Server("--system-prompt-file", prompt, wait=False)
        self.addCleanup(server.kill)
        address = server.wait_address("grpc")
        seen = self.watch(address)
        first = seen.get(timeout=harness.DEADLINE_SECONDS)
        with clients.ReflectionClient(address) as client:
            self.assertEqual(first, "NOT_SERVING")
            server.wait_ready()
            self.assertEqual(seen.get(timeout=harness.DEADLINE_SECONDS), "SERVING")
            self.assertEqual(client.health(), clients.health_pb2.HealthCheckResponse.SERVING)
            call = client.generate(messages=MESSAGES, temperature=0.0, max_tokens=400, ignore_eos=True,
                                   return_token_ids=True)
            ids = list(next(call).token_ids)
            server.terminate()
            self.assertEqual(seen.get(timeout=harness.DEADLINE_SECONDS), "NOT_SERVING")
            # What runs is not harmed; what comes is refused, and told why.
            self.assertEqual(client.health(), clients.health_pb2.HealthCheckResponse.NOT_SERVING)
            for refused in (lambda: list(client.generate(**FIELDS)), lambda: client.ask("GenerateUnary", **FIELDS)):
                self.assertEqual(clients.fault_of(refused)[:2], ("UNAVAILABLE", "draining"))
            self.assertEqual(client.ask("GetServerInfo").state, 3)  # draining
            for message in call:
                ids += message.token_ids
            self.assertEqual(len(ids), 400)
        self.assertEqual(server.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()
