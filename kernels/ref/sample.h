// Naive sampling: sorts the whole vocabulary and keeps every step visible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/sampling.h"

namespace intactkv::ref {

// The logits after bias and penalties, as written in LogitEdits.
std::vector<float> Edited(std::span<const float> logits, const SampleRow& row);

// Ids that a draw may give, ascending: after forbidden and masks, edits, temperature, top-k, top-p,
// min-p. Greedy (temperature < 0.01) gives one id. Logits are finite.
std::vector<int32_t> Survivors(std::span<const float> logits, const SampleRow& row);

// The token drawn among the survivors by RandomUnit(seed, output_index).
int32_t Sample(std::span<const float> logits, const SampleRow& row);

// Log-softmax of one id in double.
double Logprob(std::span<const float> logits, int32_t id);

}  // namespace intactkv::ref
