"""Counts what ctest's JUnit files say: prints 'N passed, N failed, N skipped' as its last line.

A skipped test is neither passed nor failed, so a missing tool or model never looks like a success. Exit status 0 only
when at least one test passed and none failed.
"""

import argparse
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def is_own_skip(reason):
    """True if the test itself said so; ctest files a program that was never built under `skipped` too."""
    return reason is not None and (reason.get("message") or "").startswith("SKIP_")


def read_results(path):
    """[(test name, 'passed' | 'failed' | 'skipped', seconds)]"""
    results = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        reason = case.find("skipped")
        if case.get("status") == "run" and reason is None and case.find("failure") is None:
            outcome = "passed"
        elif case.get("status") == "disabled" or is_own_skip(reason):
            outcome = "skipped"
        else:
            outcome = "failed"
        results.append((case.get("name"), outcome, float(case.get("time") or 0)))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--each", action="store_true", help="one line per test before the counts")
    arguments = parser.parse_args()
    results = []
    for path in arguments.files:
        try:
            results += read_results(path)
        except (OSError, ElementTree.ParseError) as error:
            print(f"count_tests: {path.name}: {error}", file=sys.stderr)
            results.append((path.name, "failed", 0.0))
    for name, outcome, seconds in results:
        if arguments.each or outcome == "failed":
            print(f"{outcome}: {name} ({seconds:.1f} s)")
    counts = {kind: sum(outcome == kind for _, outcome, _ in results) for kind in ("passed", "failed", "skipped")}
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
