"""Checks what each file must look like. Standard library only.

    python3 tests/tidy/check_files.py [ROOT]

Files stay under 600 lines, headers have `#pragma once` and say in their first line what they are, each folder's
CMakeLists.txt begins with what the folder is, and nothing names a path or host of one particular machine.
"""

import pathlib
import re
import subprocess
import sys

MAX_LINES = 600
MIN_SENTENCE = 30  # characters of a first line that says something
CODE_SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".inc", ".py", ".sh", ".cmake", ".proto"}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".txt", ".json", ".yml", ".yaml"}
# Put together here so that this file does not find itself.
FORBIDDEN = re.compile("|".join([
    r"/(?:root|home/\w+|Users/\w+)" + "/", r"/work" + "/", r"pypi\." + "org", r"pythonhosted\." + "org",
    r"deb\.debian" + r"\.org", r"/opt/" + "venv"]))
GENERATED = ("build/", "tests/golden/data/")


def files_of(root):
    """Tracked files, or all of them where there is no git."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    return sorted(name for name in names if (root / name).is_file() and not name.startswith(GENERATED))


def check_header(name, lines):
    problems = []
    if not lines or not lines[0].startswith("// ") or len(lines[0]) < MIN_SENTENCE:
        problems.append(f"{name}:1: the first line of a header says what the file is")
    directives = [line for line in lines if line.startswith("#")]
    if not directives or directives[0].strip() != "#pragma once":
        problems.append(f"{name}:1: a header's first directive is #pragma once")
    return problems


def check_file(name, text):
    lines = text.splitlines()
    path = pathlib.PurePosixPath(name)
    problems = []
    if path.suffix in CODE_SUFFIXES and len(lines) > MAX_LINES:
        problems.append(f"{name}:{MAX_LINES + 1}: {len(lines)} lines; at most {MAX_LINES}")
    if path.suffix == ".h":
        problems += check_header(name, lines)
    is_layer = len(path.parts) == 3 and path.parts[0] in ("engine", "kernels", "server")
    if path.name == "CMakeLists.txt" and is_layer:
        if not lines or not lines[0].startswith("# ") or len(lines[0]) < MIN_SENTENCE:
            problems.append(f"{name}:1: the first line says what the folder is and what it does not know")
    for number, line in enumerate(lines, 1):
        found = FORBIDDEN.search(line)
        if found:
            problems.append(f"{name}:{number}: '{found[0]}' belongs to one machine")
    return problems


def check_tree(root):
    problems = []
    for name in files_of(root):
        if pathlib.PurePosixPath(name).suffix not in TEXT_SUFFIXES and name != ".ci/run":
            continue
        try:
            problems += check_file(name, (root / name).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            problems.append(f"{name}:1: not UTF-8")
    return problems


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems = check_tree(root)
    print("\n".join(problems) if problems else "files: all in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
