// What HashExecutor must answer, computed from the request alone: a closed form with no pages,
// blocks, plans or scheduler.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/api/engine.h"
#include "engine/base/ids.h"

namespace intactkv {

struct HashModel {
  uint64_t epoch = 0;
  int32_t vocab_size = 1'000;
};

// The longest match of `prompt` over `pins` by the rule of decisions.md 3.4 (owner ignored).
int32_t OracleMatch(std::span<const TokenId> prompt, const std::vector<std::vector<TokenId>>& pins);

// The tokens that choice `choice` of `request` gets when c of its tokens are read pinned.
std::vector<TokenId> OracleTokens(const GenerationRequest& request, int32_t choice, int32_t c,
                                  const HashModel& model);

// The log probabilities of the prompt's tokens after its first.
std::vector<float> OracleScores(const GenerationRequest& request, int32_t c,
                                const HashModel& model);

}  // namespace intactkv
