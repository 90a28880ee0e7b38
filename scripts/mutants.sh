#!/usr/bin/env bash
# Puts each small fault of tests/mutants into a copy of the sources and demands that its test fails. A survivor is a promise
# that no test guards.
#
#   bash scripts/mutants.sh [NAME-PART...]      e.g. bash scripts/mutants.sh hit epoch
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

bash scripts/install-deps.sh
exec python3 tests/mutants/run_mutants.py "$@"
