#!/usr/bin/env bash
# Runs the long forms (label `long`), fuzzes every parser, and records commit, duration and counts under docs/long/.
#
#   bash scripts/long.sh [ctest arguments]
#
# Each fuzz target runs for INTACTKV_FUZZ_SECONDS (600 by default, 0 leaves them out), one per core at a time;
# INTACTKV_FUZZ_TARGETS names those that run (all).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

bash scripts/install-deps.sh --dev
bash scripts/fetch-model.sh >/dev/null
bash scripts/fetch-model.sh qwen2.5-coder-0.5b >/dev/null
bash tests/integration/make-venv.sh
cmake --preset release >/dev/null
cmake --build build/release

commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain)" ] || commit=$commit-dirty
results=$root/build/release/long-results.xml
log=docs/long/$(date -u +%Y-%m-%d)-$commit.log
mkdir -p docs/long
rm -f "$results"
status=0
started=$SECONDS
ctest --test-dir build/release -L '^long$' -j "$(nproc)" --output-on-failure --output-junit "$results" "$@" || status=$?
{
  echo "commit:   $commit"
  echo "date:     $(date -u +%Y-%m-%dT%H:%MZ)"
  echo "machine:  $(nproc) x $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)"
  compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[^=]*=//p' build/release/CMakeCache.txt)
  echo "compiler: $("$compiler" --version | head -n 1)"
  echo "duration: $((SECONDS - started)) s"
} >"$log"
fuzz_seconds=${INTACTKV_FUZZ_SECONDS:-600}
if [ "$fuzz_seconds" != 0 ]; then
  read -r -a targets <<<"${INTACTKV_FUZZ_TARGETS:-}"
  bash scripts/fuzz.sh --seconds "$fuzz_seconds" "${targets[@]}" | tee -a "$log" || status=1
fi
counted=0
python3 scripts/count_tests.py --each "$results" | tee -a "$log" || counted=$?
[ "$counted" = 0 ] || status=1
echo "long: recorded in $log" >&2
exit "$status"
