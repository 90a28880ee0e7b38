"""Checks who includes whom, and who links whom, against the layer table. Standard library only.

    python3 tests/tidy/check_layers.py [ROOT]

A new arrow needs a new entry in MAY_INCLUDE, and so a reviewer's eye. Direct includes only; chains mean nothing. Tests may
include everything. Exit status 0: no arrow that the table does not draw.
"""

import pathlib
import re
import sys

EVERYTHING = "*"

# folder -> folders whose headers its files may include, besides its own. Every folder of engine/, kernels/, server/
# and proto/ that holds code has a row.
MAY_INCLUDE = {
    "engine/base": [],
    "kernels/quant": ["engine/base"],
    "kernels/api": ["kernels/quant", "engine/base"],
    "kernels/ref": ["kernels/api", "kernels/quant", "engine/base"],
    "kernels/cpu": ["kernels/api", "kernels/quant", "engine/base"],
    "kernels/cuda": ["kernels/api", "kernels/quant", "engine/base"],
    "kernels/sim": ["kernels/api"],
    "kernels/bench": ["kernels/cpu", "kernels/ref", "kernels/api", "kernels/quant", "engine/base"],
    "engine/json": ["engine/base"],
    "engine/api": ["engine/base"],
    "engine/kvcache": ["engine/base"],
    "engine/text": ["engine/api", "engine/json", "engine/base"],
    "engine/sched": ["engine/kvcache", "engine/api", "engine/base"],
    "engine/model": ["kernels/api", "engine/base"],
    "engine/checkpoint": ["engine/model", "engine/json", "kernels/api", "engine/base"],
    "engine/exec": ["engine/sched", "engine/model", "engine/api", "kernels/api", "kernels/quant", "engine/base"],
    "engine/core": ["engine/sched", "engine/kvcache", "engine/api", "engine/base"],
    "engine/offline": ["engine/exec", "engine/model", "engine/text", "engine/api", "kernels/api", "kernels/quant",
                       "engine/base"],
    "server/config": ["engine/api", "engine/base"],
    "server/request": ["server/config", "engine/api", "engine/base"],
    "server/http": ["engine/base"],
    "server/openai": ["server/http", "server/request", "server/config", "engine/api", "engine/json", "engine/base"],
    "server/grpc": ["server/http", "server/request", "server/config", "engine/api", "engine/base"],
    "server/metrics": ["engine/api", "engine/base"],
    "server/main": [EVERYTHING],
    "proto/client": [],
}

# A library's headers stay in the folders that exist to use it.
LIBRARY_ONLY_IN = {
    "prometheus/": ["server/metrics"],
    "grpcpp/": ["server/grpc", "proto/client"],
    "grpc/": ["server/grpc"],
    "google/protobuf/": ["server/grpc"],
    "intactkv/v1/": ["server/grpc", "proto/client"],  # generated from proto/
    "boost/": ["engine/json", "engine/text", "server/config", "server/request", "server/http", "server/openai", "server/main"],
}

CODE_SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".inc"}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
LINK = re.compile(r"\bintactkv::(\w+)")
NOT_FOLDERS = {"warnings", "proto"}


def folder_of(relative, table):
    """The row that the file belongs to ("kernels/cpu/avx2/x.cc" -> "kernels/cpu"), or None."""
    parts = relative.split("/")
    for length in range(len(parts) - 1, 0, -1):
        candidate = "/".join(parts[:length])
        if candidate in table:
            return candidate
    return None


def check_include(folder, target, quoted, table):
    """None, or what is wrong with `folder` including `target`."""
    for prefix, folders in LIBRARY_ONLY_IN.items():
        if target.startswith(prefix):
            return None if folder in folders else f"{prefix}* is for {', '.join(folders)}"
    if not target.startswith(("engine/", "kernels/", "server/", "tests/")):
        is_relative = quoted and ("/" not in target or target.startswith("."))
        return "a quoted include names its file by the full path from the root" if is_relative else None
    to = folder_of(target, table)
    if to is None:
        return f"{target} lies in no folder of the table"
    allowed = table[folder]
    if to == folder or EVERYTHING in allowed or to in allowed:
        return None
    return f"the table draws no arrow {folder} -> {to}"


def check_code(root, table):
    problems = []
    for top in ("engine", "kernels", "server", "proto"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in CODE_SUFFIXES or not path.is_file():
                continue
            relative = path.relative_to(root).as_posix()
            folder = folder_of(relative, table)
            if folder is None:
                problems.append(f"{relative}:1: this folder has no row in the table")
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                found = INCLUDE.match(line)
                problem = found and check_include(folder, found[2], found[1] == '"', table)
                if problem:
                    problems.append(f"{relative}:{number}: {problem}")
    return problems


def folder_of_target(target, table):
    """"kernels_cpu" and its part "kernels_cpu_avx2" -> "kernels/cpu", or None."""
    for folder in table:
        name = folder.replace("/", "_", 1)
        if target == name or target.startswith(name + "_"):
            return folder
    return None


def check_links(root, table):
    """The DEPS of intactkv_layer() are arrows too."""
    problems = []
    for folder, allowed in table.items():
        path = root / folder / "CMakeLists.txt"
        if not path.is_file() or EVERYTHING in allowed:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for target in LINK.findall(line.split("#")[0]):
                if target in NOT_FOLDERS:
                    continue
                to = folder_of_target(target, table)
                if to is None:
                    problems.append(f"{folder}/CMakeLists.txt:{number}: intactkv::{target} is no folder of the table")
                elif to != folder and to not in allowed:
                    problems.append(f"{folder}/CMakeLists.txt:{number}: the table draws no arrow {folder} -> {to}")
    return problems


def check_tree(root, table=None):
    """All problems of the tree, one line each, as path:line: what."""
    table = MAY_INCLUDE if table is None else table
    return check_code(root, table) + check_links(root, table)


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems = check_tree(root)
    print("\n".join(problems) if problems else "layers: every include and link is in the table")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
