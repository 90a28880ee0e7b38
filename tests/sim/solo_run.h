// The same request alone on an idle engine: its answer and how many steps it takes.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/api/engine.h"
#include "engine/core/engine_options.h"
#include "tests/support/hash_oracle.h"

namespace intactkv::sim {

struct SoloResult {
  absl::Status status;
  std::vector<std::vector<TokenId>> tokens;  // by choice
  std::vector<float> scores;                 // of the prompt
  int64_t steps = 0;
};

// `pin`: what is pinned; empty: nothing. Same budgets and pools as `options`.
SoloResult RunAlone(const EngineCoreOptions& options, GenerationRequest request,
                    const std::vector<TokenId>& pin, const HashModel& model);

}  // namespace intactkv::sim
