"""Applies each small fault of tests/mutants/*.patch to a copy of the sources and demands that its test fails.

    python3 tests/mutants/run_mutants.py [--check] [NAME-PART...]

A patch begins with two lines:

    # must fail: TARGET FILTER      the test program to build, and those of its cases that must fail
    # [Pnn: ]WHAT                   the promise of docs/reliability.md that it breaks, and what would be wrong

`--check` only sees that each patch is well formed and still applies. Exit status 0: every chosen mutant was killed (with --check:
applies).
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = re.compile(r"# must fail: (?P<target>\S+) (?P<filter>\S+)\n# (?:(?P<promise>P\d+): )?(?P<what>\S.*)\n")
TEST_SECONDS = 300  # a mutant that hangs its test is killed too


class Mutant:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        header = HEADER.match(path.read_text())
        self.fields = header.groupdict(default="") if header else {}

    def problem(self):
        """What is wrong with the file, or ''."""
        if not self.fields:
            return "does not begin with '# must fail: TARGET FILTER' and a line that says what is wrong"
        applies = subprocess.run(["git", "apply", "--check", self.path], cwd=ROOT, capture_output=True, text=True)
        return "" if applies.returncode == 0 else f"no longer applies: {applies.stderr.strip().splitlines()[0]}"

    def sources(self):
        return [line[6:] for line in self.path.read_text().splitlines() if line.startswith("+++ b/")]


def copy_sources(source):
    """The tracked files as they are now; an unchanged file keeps its time, so that little is rebuilt."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        target = source / name
        if target.is_file() and target.read_bytes() == (ROOT / name).read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)


class Tree:
    def __init__(self):
        self.source = ROOT / "build" / "mutants" / "source"
        self.build = ROOT / "build" / "mutants" / "build"
        self.log = ROOT / "build" / "mutants" / "log.txt"
        copy_sources(self.source)
        self.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", self.build, "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                  "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1", "-DINTACTKV_WITH_GRPC=OFF", "-DINTACTKV_WERROR=OFF"])

    def run(self, command, seconds=None):
        env = dict(os.environ, CCACHE_BASEDIR=str(ROOT), CCACHE_NOHASHDIR="1")
        with open(self.log, "w") as log:
            try:
                return subprocess.run(command, cwd=self.source, stdout=log, stderr=log, timeout=seconds, env=env).returncode
            except subprocess.TimeoutExpired:
                return "timeout"

    def make(self, target):
        return self.run(["cmake", "--build", self.build, "--target", *target]) == 0

    def test(self, mutant):
        """The exit status of the mutant's cases; None when the filter chose none."""
        status = self.run([self.build / "bin" / mutant.fields["target"], "--gtest_brief=1",
                           f"--gtest_filter={mutant.fields['filter']}"], TEST_SECONDS)
        # Zero passed as well when every case failed: then the status tells.
        return None if status == 0 and "[  PASSED  ] 0 tests" in self.log.read_text(errors="replace") else status

    def patch(self, mutant, reverse=False):
        flags = ["--reverse"] if reverse else []
        # Outside any repository, so that paths are taken as they stand.
        env = dict(os.environ, GIT_CEILING_DIRECTORIES=str(self.source.parent))
        subprocess.run(["git", "apply", *flags, mutant.path], cwd=self.source, check=True, env=env)

    def verdict(self, mutant):
        self.patch(mutant)
        try:
            if not self.make([mutant.fields["target"]]):
                return "does not compile"
            status = self.test(mutant)
            return "SURVIVED" if status == 0 else "ran no test" if status is None else "killed"
        finally:
            self.patch(mutant, reverse=True)


def run_all(mutants):
    tree = Tree()
    print(f"building the sources without a mutant in {tree.build.relative_to(ROOT)}", flush=True)
    if not tree.make(sorted({m.fields["target"] for m in mutants})):
        print(f"mutants: the sources do not build: {tree.log.read_text()[-2000:]}")
        return 1
    bad = 0
    healthy = {}
    for number, mutant in enumerate(mutants, 1):
        case = (mutant.fields["target"], mutant.fields["filter"])
        if case not in healthy:
            tree.make([mutant.fields["target"]])
            healthy[case] = tree.test(mutant) == 0
        verdict = tree.verdict(mutant) if healthy[case] else "its test fails without it"
        bad += verdict != "killed"
        print(f"{number:3}/{len(mutants)} {mutant.fields['promise']:4} {mutant.name}: {verdict}", flush=True)
    files = {source for m in mutants for source in m.sources()}
    print(f"mutants: {len(mutants)} in {len(files)} files, {len(mutants) - bad} killed, {bad} not")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only see that each patch is well formed and applies")
    parser.add_argument("parts", nargs="*", help="only mutants whose name contains one of these")
    args = parser.parse_args()
    paths = sorted((ROOT / "tests" / "mutants").glob("*.patch"))
    mutants = [Mutant(p) for p in paths if not args.parts or any(part in p.stem for part in args.parts)]
    problems = [f"tests/mutants/{m.path.name}: {m.problem()}" for m in mutants if m.problem()]
    for problem in problems:
        print(problem)
    if problems or not mutants:
        print(f"mutants: {len(problems)} of {len(mutants)} do not apply")
        return 1
    if args.check:
        print(f"mutants: all {len(mutants)} apply")
        return 0
    return run_all(mutants)


if __name__ == "__main__":
    sys.exit(main())
