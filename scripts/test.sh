#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test but those labelled `long`.
#
#   bash scripts/test.sh [ctest arguments]        e.g. -L unit, or -R Scheduler
#
# The last line counts: 'N passed, N failed, N skipped'. Exit status 0 only when something passed and nothing failed.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

bash scripts/install-deps.sh
bash scripts/fetch-model.sh >/dev/null
bash scripts/fetch-vocabularies.sh >/dev/null || echo "test.sh: without them, tests of real vocabularies are skipped" >&2
bash tests/integration/make-venv.sh
cmake --preset release >/dev/null
cmake --build build/release

results=$root/build/release/test-results.xml
rm -f "$results"
status=0
ctest --test-dir build/release -LE '^long$' -j 2 --output-on-failure --output-junit "$results" "$@" || status=$?
python3 scripts/count_tests.py "$results" || status=1
exit "$status"
