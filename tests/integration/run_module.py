"""Runs one test module for ctest: python3 run_module.py chat_test. Exit status 77 means that everything in it was skipped.

Uses build/venv (made by scripts/test.sh) when it is there; INTACTKV_TEST_PYTHON names another interpreter.
"""

import os
import pathlib
import sys
import unittest

SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parents[2]


def enter_venv():
    python = pathlib.Path(os.environ.get("INTACTKV_TEST_PYTHON") or ROOT / "build" / "venv" / "bin" / "python3")
    if python.is_file() and os.environ.get("INTACTKV_IN_VENV") != "1":
        os.environ["INTACTKV_IN_VENV"] = "1"
        os.execv(python, [str(python), *sys.argv])


def main():
    enter_venv()
    try:
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
    except unittest.SkipTest as reason:  # a client that the whole module needs is missing
        print("skipped:", reason)
        return SKIPPED
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if not result.wasSuccessful():
        return 1
    if result.testsRun == len(result.skipped) or result.testsRun == 0:
        print("skipped:", "; ".join(sorted({reason for _, reason in result.skipped})) or "no test was found")
        return SKIPPED if result.skipped else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
