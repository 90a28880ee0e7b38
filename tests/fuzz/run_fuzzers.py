"""Runs the fuzzers of a build tree on their committed seeds, several at a time, and says what each did.

    python3 tests/fuzz/run_fuzzers.py BIN_FOLDER [--seconds N] [--jobs N] [TARGET...]

One line per target: its executions, its duration, the size of the corpus that it grew, and its finding if it made one. New
inputs are kept in BIN_FOLDER/../fuzz-corpus for the next run, findings in BIN_FOLDER/../fuzz-findings. Exit status 0: every
target ran and found nothing. Standard library only.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import time

SEEDS = pathlib.Path(__file__).resolve().parent / "seeds"
EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
FINDING = re.compile(r"Test unit written to (\S+)")
MAX_RSS_MB = 3000
MAX_SECONDS_AN_INPUT = 20


def run(binaries, target, seconds):
    """(line of the report, whether it was clean)"""
    corpus, findings = (binaries.parent / folder / target for folder in ("fuzz-corpus", "fuzz-findings"))
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    command = [binaries / target, corpus, SEEDS / target, f"-max_total_time={seconds}", "-print_final_stats=1",
               f"-artifact_prefix={findings}/", f"-rss_limit_mb={MAX_RSS_MB}", f"-timeout={MAX_SECONDS_AN_INPUT}"]
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    output = done.stderr.decode(errors="replace")
    executions = EXECUTIONS.search(output)
    count = int(executions[1]) if executions else 0
    clean = done.returncode == 0 and count > 0
    found = FINDING.search(output)
    verdict = "no finding" if clean else f"FINDING {found[1] if found else f'exit status {done.returncode}'}"
    if not clean:
        (findings / "log").write_text(output)
    grown = sum(1 for _ in corpus.iterdir())
    return f"fuzz: {target}: {count} executions in {time.monotonic() - started:.0f} s, corpus {grown}, {verdict}", clean


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", type=pathlib.Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    arguments = parser.parse_intermixed_args()
    targets = arguments.targets or sorted(folder.name for folder in SEEDS.iterdir())
    missing = [target for target in targets if not (arguments.binaries / target).is_file()]
    if missing:
        parser.error(f"not built: {', '.join(missing)}")
    status = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for line, clean in pool.map(lambda target: run(arguments.binaries, target, arguments.seconds), targets):
            print(line, flush=True)
            status |= not clean
    return status


if __name__ == "__main__":
    sys.exit(main())
