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
    import grpc_tools.protoc  # noqa: F401  (make_python_client needs it)
except ImportError as error:
    raise unittest.SkipTest(f"a client is missing ({error}); tests/integration/make-venv.sh installs them") from error

sys.path.insert(0, str(harness.ROOT / "scripts"))
import make_python_client  # noqa: E402

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


def python_client():
    """The folder of the generated client; made once."""
    if not _folders:
        _folders.append(tempfile.mkdtemp(prefix="intactkv-client-"))
        make_python_client.generate(pathlib.Path(_folders[0]))
    return _folders[0]


_folders = []


def fault_of(call):
    """(code's name, REST's code, the field at fault, message) of a call that must fail."""
    try:
        call()
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        return (error.code().name, trailers.get("intactkv-error-code", ""), trailers.get("intactkv-error-param", ""),
                error.details())
    raise AssertionError("the call went well")


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

    def ask(self, method, timeout=harness.DEADLINE_SECONDS, **fields):
        """The answer of one of the unary methods."""
        path, request, response = self._method(method)
        call = self.channel.unary_unary(path, request_serializer=request.SerializeToString,
                                        response_deserializer=response.FromString)
        return call(request(**fields), timeout=timeout)

    def model_info(self):
        return self.ask("GetModelInfo")

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
            folder = python_client()
            sys.path.insert(0, folder)
            cls._modules = (importlib.import_module("intactkv.v1.intactkv_pb2"),
                            importlib.import_module("intactkv.v1.intactkv_pb2_grpc"))
        return cls._modules

    def ask(self, method, timeout=harness.DEADLINE_SECONDS, **fields):
        """The answer of one of the unary methods."""
        name = {"GenerateUnary": "GenerateRequest"}.get(method, f"{method}Request")
        return getattr(self.stub, method)(getattr(self.messages, name)(**fields), timeout=timeout)

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
