"""The examples of docs/clients, as they are, against the real server."""

import os
import pathlib
import subprocess
import sys
import unittest

import clients
import harness

EXAMPLES = harness.ROOT / "docs" / "clients"
CPP_EXAMPLE = harness.BINARY.parent / "intactkv_client_example"


class ClientsTest(harness.ServerCase):

    def run_example(self, *command, **environment):
        """{the word before the colon: the rest} of each line that it prints."""
        done = subprocess.run([*map(str, command), self.server.grpc], capture_output=True, text=True,
                              timeout=harness.DEADLINE_SECONDS, env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)

    def assert_good(self, printed):
        question = [{"role": "user", "content": "Name the capital of France."}]
        want = self.server.chat(messages=question, temperature=0, max_tokens=24)
        first_line = want["choices"][0]["message"]["content"].splitlines()[0]
        self.assertEqual(printed["model"], self.server.model_name())
        self.assertEqual(printed["streamed"], first_line)
        self.assertEqual(printed["whole"], first_line)
        self.assertEqual(int(printed["tokens"]), want["usage"]["completion_tokens"])
        self.assertEqual((printed["cancelled"], printed["aborted"], printed["deadline"]),
                         ("CANCELLED", "CANCELLED", "DEADLINE_EXCEEDED"))
        self.assertTrue(printed["error"].startswith("INVALID_ARGUMENT invalid_value in temperature: "), printed["error"])
        self.server.wait_idle()  # nothing that it left still runs

    def test_python(self):
        self.assert_good(self.run_example(sys.executable, EXAMPLES / "example.py", PYTHONPATH=clients.python_client()))

    def test_cpp(self):
        if not CPP_EXAMPLE.is_file():
            self.skipTest(f"{CPP_EXAMPLE} is not built")
        self.assert_good(self.run_example(CPP_EXAMPLE))

    def test_both_use_every_call_that_a_client_has(self):
        for name in ("example.cc", "example.py"):
            text = (EXAMPLES / name).read_text()
            for call in ("Generate(", "GenerateUnary(", "Abort(", "GetServerInfo(", "ancel("):
                self.assertIn(call, text, name)

    def test_the_pins_are_the_tests_own(self):
        tests = (pathlib.Path(__file__).parent / "requirements.txt").read_text().splitlines()
        pins = [line for line in (EXAMPLES / "requirements.txt").read_text().splitlines() if "==" in line]
        self.assertTrue(pins)
        for pin in pins:
            self.assertIn(pin, tests)


if __name__ == "__main__":
    unittest.main()
