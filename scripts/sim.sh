#!/usr/bin/env bash
# Replays one seed of the simulator, or runs a range of them.
#
#   bash scripts/sim.sh --seed S                a failure prints what is wrong, the commit and a shrunk list of events
#   bash scripts/sim.sh --seeds A:B [--jobs N]  seeds A..B-1
#
# --paths prints how often each rare path was taken, --rare demands each 100 times in 500 seeds, --scenario prints the
# events of seed S. PRESET=debug|asan|... picks the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${PRESET:-release}
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
cmake --build "build/$preset" --target intactkv_sim >/dev/null
exec "build/$preset/bin/intactkv_sim" "$@"
