"""The clients that people use: the openai SDK, and gRPC by reflection and by generated code.

Import it first in a test module: without the pinned packages (requirements.txt) it skips the module.
"""

import importlib
import pathlib
import sys
import tempfile
import unittest

import harness

try:
    import grpc
    import openai
    from google.protobuf import descriptor_pool, message_factory
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
    from grpc_tools import protoc
except ImportError as error:
    raise unittest.SkipTest(f"a client is missing ({error}); tests/integration/make-venv.sh installs them") from error

SERVICE = "intactkv.v1.IntactKV"


def openai_client(server):
    return openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0,
                         timeout=harness.DEADLINE_SECONDS)


class OpenAiCase(harness.ServerCase):
    """And the SDK's client with the served model's name."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = openai_client(cls.server)
        cls.model = cls.client.models.list().data[0].id


class ReflectionClient:
    """Knows nothing but the address: the service's own reflection gives it the messages."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        self.service = self.pool.FindServiceByName(SERVICE)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.channel.close()

    def services(self):
        return list(self.database.get_services())

    def _method(self, name):
        method = self.service.methods_by_name[name]
        request = message_factory.GetMessageClass(method.input_type)
        response = message_factory.GetMessageClass(method.output_type)
        return f"/{SERVICE}/{name}", request, response

    def generate(self, timeout=harness.DEADLINE_SECONDS, **fields):
        path, request, response = self._method("Generate")
        call = self.channel.unary_stream(path, request_serializer=request.SerializeToString,
                                         response_deserializer=response.FromString)
        return call(request(**fields), timeout=timeout)

    def model_info(self):
        path, request, response = self._method("GetModelInfo")
        call = self.channel.unary_unary(path, request_serializer=request.SerializeToString,
                                        response_deserializer=response.FromString)
        return call(request(), timeout=harness.DEADLINE_SECONDS)

    def health(self):
        stub = health_pb2_grpc.HealthStub(self.channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=harness.DEADLINE_SECONDS).status


class GeneratedClient:
    """The client that protoc makes from proto/intactkv/v1."""

    _modules = None

    def __init__(self, address):
        self.messages, stubs = self._generate()
        self.channel = grpc.insecure_channel(address)
        self.stub = stubs.IntactKVStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.channel.close()

    @classmethod
    def _generate(cls):
        if cls._modules is None:
            source = harness.ROOT / "proto"
            files = sorted(str(path) for path in source.glob("intactkv/v1/*.proto"))
            folder = tempfile.mkdtemp(prefix="intactkv-proto-")
            arguments = ["protoc", f"-I{source}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
            if protoc.main(arguments) != 0:
                raise AssertionError("protoc refuses the proto files")
            sys.path.insert(0, folder)
            stem = pathlib.Path(files[0]).stem
            cls._modules = (importlib.import_module(f"intactkv.v1.{stem}_pb2"),
                            importlib.import_module(f"intactkv.v1.{stem}_pb2_grpc"))
        return cls._modules

    def generate(self, timeout=harness.DEADLINE_SECONDS, **fields):
        return self.stub.Generate(self.messages.GenerateRequest(**fields), timeout=timeout)


def collect(stream):
    """(text, token ids, prompt ids, finish reason, usage) of a Generate stream with one choice."""
    text, ids, prompt_ids, finish, usage = "", [], [], None, None
    for message in stream:
        text += message.text
        ids += message.token_ids
        prompt_ids += message.prompt_token_ids
        if message.HasField("finish_reason"):
            finish = message.finish_reason
        if message.HasField("usage"):
            usage = message.usage
    return text, ids, prompt_ids, finish, usage
