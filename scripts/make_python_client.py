"""Generates the Python client of proto/intactkv/v1 into a folder, as the package intactkv.v1.

    python3 -m venv build/client-venv && build/client-venv/bin/pip install -r docs/clients/requirements.txt
    build/client-venv/bin/python3 scripts/make_python_client.py build/python-client

Needs grpcio-tools in the version that docs/clients/requirements.txt pins: generated code belongs to one version of it.
"""

import importlib.metadata
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PINS = ROOT / "docs" / "clients" / "requirements.txt"


def pinned_version():
    return re.search(r"^grpcio-tools==(\S+)$", PINS.read_text(), re.M)[1]


def generate(folder):
    """Writes intactkv/v1/intactkv_pb2.py, its .pyi for type checkers, and intactkv_pb2_grpc.py."""
    from grpc_tools import protoc
    found = importlib.metadata.version("grpcio-tools")
    if found != pinned_version():
        raise SystemExit(f"grpcio-tools is {found}; {PINS.relative_to(ROOT)} pins {pinned_version()}")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={folder}", f"--pyi_out={folder}",
                 f"--grpc_python_out={folder}", str(ROOT / "proto" / "intactkv" / "v1" / "intactkv.proto")]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc refuses the proto file")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    generate(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    main()
