"""Calls a running IntactKV Server from Python: streaming, unary, cancel, deadline, errors.

    python3 scripts/make_python_client.py build/python-client
    PYTHONPATH=build/python-client python3 docs/clients/example.py 127.0.0.1:8082
"""

import sys

import grpc
from intactkv.v1 import intactkv_pb2 as v1
from intactkv.v1 import intactkv_pb2_grpc


def ask(question, **fields):
    messages = [v1.ChatMessage(role="user", content=question)]
    return v1.GenerateRequest(messages=messages, **{"temperature": 0, "max_tokens": 24, **fields})


def endless(**fields):
    """So long that the examples below end it before it ends itself."""
    return ask("Count upwards from one, in words.", max_tokens=1500, ignore_eos=True, **fields)


def stream(stub):
    print("streamed: ", end="")
    for message in stub.Generate(ask("Name the capital of France.")):
        print(message.text, end="", flush=True)
    print()


def whole(stub):
    answer = stub.GenerateUnary(ask("Name the capital of France."))
    print("whole:", answer.choices[0].text)
    print("tokens:", answer.usage.completion_tokens)


def cancel_and_abort(stub):
    """The caller's own stream, or any call by its id."""
    mine = stub.Generate(endless())
    next(mine)
    mine.cancel()
    print("cancelled:", mine.code().name)

    other = stub.Generate(endless(request_id="example-1"))
    next(other)  # it runs
    stub.Abort(v1.AbortRequest(request_id="example-1"))
    try:
        for _ in other:
            pass
    except grpc.RpcError as error:
        print("aborted:", error.code().name)


def deadline(stub):
    try:
        stub.GenerateUnary(endless(), timeout=0.2)
    except grpc.RpcError as error:
        print("deadline:", error.code().name)


def errors(stub):
    try:
        stub.GenerateUnary(ask("Hello", temperature=-1))
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        print("error:", error.code().name, trailers["intactkv-error-code"], "in", trailers["intactkv-error-param"] + ":",
              error.details())


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8082"
    with grpc.insecure_channel(address) as channel:
        stub = intactkv_pb2_grpc.IntactKVStub(channel)
        print("model:", stub.GetServerInfo(v1.GetServerInfoRequest()).model.id)
        for example in (stream, whole, cancel_and_abort, deadline, errors):
            example(stub)


if __name__ == "__main__":
    main()
