// Runs ranges of seeds in worker processes, so that a CHECK which ends one is a finding like any
// other; shrinks and reports the first failure.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/rare_paths.h"
#include "tests/sim/scenario.h"

namespace intactkv::sim {

struct RangeOptions {
  uint64_t first = 0, end = 0;  // [first, end)
  int jobs = 1;
  bool require_rare_paths = false;
};

struct RangeResult {
  std::string report;  // empty: all passed. Else seed, commit, what was wrong, the shrunk events
  RarePathCounts counts;
  int64_t num_requests = 0, num_steps = 0, num_tokens = 0;
};

// Each seed once in each mode.
RangeResult RunSeeds(const RangeOptions& options);

// Fewest events found with which `scenario` still fails; itself if it does not.
Scenario Shrink(const Scenario& scenario);

}  // namespace intactkv::sim
