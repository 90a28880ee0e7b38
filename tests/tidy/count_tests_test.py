"""scripts/count_tests.py: a skip is no pass, a program that was never built is a failure."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "count_tests.py"
PASSED = '<testcase name="a" status="run" time="0.1"/>'
FAILED = '<testcase name="b" status="fail" time="0.1"><failure message=""/></testcase>'
SKIPPED = '<testcase name="c" status="notrun" time="0.1"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
NOT_BUILT = '<testcase name="d" status="notrun"><skipped message="Unable to find executable"/></testcase>'


class CountTestsTest(unittest.TestCase):

    def count(self, *cases):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(f"<testsuite>{''.join(cases)}</testsuite>")
            file.flush()
            done = subprocess.run([sys.executable, SCRIPT, file.name], capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()[-1]

    def test_skips_are_counted_apart(self):
        self.assertEqual(self.count(PASSED, PASSED, SKIPPED), (0, "2 passed, 0 failed, 1 skipped"))

    def test_a_failure_fails(self):
        self.assertEqual(self.count(PASSED, FAILED), (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_program_that_was_not_built_fails(self):
        self.assertEqual(self.count(PASSED, NOT_BUILT), (1, "1 passed, 1 failed, 0 skipped"))

    def test_nothing_passed_fails(self):
        self.assertEqual(self.count(SKIPPED), (1, "0 passed, 0 failed, 1 skipped"))
        self.assertEqual(self.count(), (1, "0 passed, 0 failed, 0 skipped"))

    def test_a_missing_file_fails(self):
        done = subprocess.run([sys.executable, SCRIPT, "no-such-file.xml"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (1, "0 passed, 1 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
