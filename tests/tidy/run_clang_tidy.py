"""Runs clang-tidy over the sources of a build tree's compile_commands.json, as many at a time as there are cores.

    python3 tests/tidy/run_clang_tidy.py BUILD_DIR [PATH-PART...]

Installs the pinned clang-tidy of requirements.txt into build/clang-tidy first. Generated files are left out; precompiled
headers are, too, so that a missing #include is found. What passed is remembered under the cache directory by a hash of all
that clang-tidy reads (its version, the preprocessed text with its comments, the options, the checks), so a second run looks
only at what changed.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")
VENV = ROOT / "build" / "clang-tidy"
TIDY = VENV / "bin" / "clang-tidy"
CHECKED = ("engine/", "kernels/", "server/")


def install():
    """The pinned clang-tidy in VENV; quick when it is already there."""
    stamp = VENV / ".requirements"
    if stamp.is_file() and stamp.read_bytes() == REQUIREMENTS.read_bytes():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS], check=True)
    stamp.write_bytes(REQUIREMENTS.read_bytes())


def arguments(command):
    """The compiler and its flags, without ccache, output, and the precompiled headers (each word behind an -Xclang)."""
    words = shlex.split(command)
    words = words[words.index(next(word for word in words if "clang++" in word)):]
    kept = [words[0]]
    for before, word in zip(words, words[1:]):
        if before not in ("-Xclang", "-o") and word not in ("-Xclang", "-o", "-c", "-Winvalid-pch"):
            kept.append(word)
    return kept


def sources(build_dir, parts):
    """[(path from the root, compile command as a list, its folder)]"""
    found = []
    for entry in json.loads((build_dir / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        name = os.path.relpath(path, ROOT)
        if name.startswith(CHECKED) and (not parts or any(part in name for part in parts)):
            found.append((name, arguments(entry["command"]), entry["directory"]))
    return sorted(found)


def key_of(name, command, directory):
    """A hash of everything that decides clang-tidy's answer, or None when the file does not preprocess."""
    text = subprocess.run([*command, "-E", "-C", "-P"], cwd=directory, capture_output=True)
    if text.returncode != 0:
        return None
    digest = hashlib.sha256(REQUIREMENTS.read_bytes())
    for folder in (ROOT / name).parents:
        if folder.is_relative_to(ROOT) and (folder / ".clang-tidy").is_file():
            digest.update((folder / ".clang-tidy").read_bytes())
    flags = [a.replace(str(ROOT), "") for a in command if a.startswith(("-f", "-m", "-D", "-std", "-W"))]
    digest.update("\0".join([name, *flags]).encode())
    digest.update(text.stdout)
    return digest.hexdigest()


def check(cache, source):
    """(name, was remembered, findings)"""
    name, command, directory = source
    key = key_of(name, command, directory)
    if key and (cache / key).exists():
        return name, True, ""
    done = subprocess.run([TIDY, "--quiet", ROOT / name, "--", *command[1:]], cwd=directory, capture_output=True, text=True)
    if done.returncode == 0 and key:
        (cache / key).touch()
    return name, False, "" if done.returncode == 0 else done.stdout + done.stderr


def main():
    install()
    build_dir = pathlib.Path(sys.argv[1]).resolve()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "intactkv" / "clang-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    found = sources(build_dir, sys.argv[2:])
    bad = remembered = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for name, was_remembered, findings in pool.map(lambda source: check(cache, source), found):
            remembered += was_remembered
            if findings:
                bad += 1
                print(f"--- {name}\n{findings}", flush=True)
    print(f"clang-tidy: {len(found)} files, {remembered} unchanged since they passed, {bad} with findings")
    return 1 if bad or not found else 0


if __name__ == "__main__":
    sys.exit(main())
