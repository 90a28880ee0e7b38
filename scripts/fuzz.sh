#!/usr/bin/env bash
# Fuzzes every parser of outside bytes (tests/fuzz) under the address and undefined sanitizers.
#
#   bash scripts/fuzz.sh [--seconds N] [--jobs N] [TARGET...]     600 s each by default, as many at a time as there are cores
#
# Prints one line per target: executions, duration, finding. A finding's input lies in build/fuzz/fuzz-findings; once it is
# understood and fixed it goes to tests/fuzz/seeds/TARGET/found_NAME, which the default tests run.
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
[ -f build/fuzz/build.ninja ] || cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target fuzzers >/dev/null
export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19  # names and lines in a finding's stack
exec python3 tests/fuzz/run_fuzzers.py build/fuzz/bin --jobs "$(nproc)" "$@"
