// Every limit of a request's fields, in one place; the validator, the JSON parser and their tests
// name them from here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/sampling.h"

namespace intactkv {

inline constexpr int32_t kMaxChoices = 8;
inline constexpr size_t kMaxMessages = 1024;
inline constexpr size_t kMaxStopStrings = 4;
inline constexpr size_t kMaxStopBytes = 256;
inline constexpr size_t kMaxStopTokenIds = 64;
inline constexpr size_t kMaxLogitBiases = 300;
inline constexpr double kMaxLogitBias = 100.0;
inline constexpr size_t kMaxAllowedTokenIds = 4096;
inline constexpr size_t kMaxBadWords = 64;
inline constexpr size_t kMaxBadWordBytes = 256;
inline constexpr size_t kMaxStringBytes = size_t{2} << 20;  // one message, one prompt
inline constexpr size_t kMaxSaltBytes = 256;
inline constexpr size_t kMaxRequestIdBytes = 64;
inline constexpr double kMaxTemperature = 2.0;
inline constexpr double kMaxPenalty = 2.0;                // frequency and presence: also downwards
inline constexpr double kGreedyBelow = 0.01;              // a lower temperature is greedy
inline constexpr int64_t kMaxTopLogprobs = kMaxLogprobs;  // as many as the engine gives
// Echoed, of one request: prompt tokens x (1 + top log probabilities) x choices.
inline constexpr int64_t kMaxEchoedLogprobs = int64_t{1} << 18;
inline constexpr float kLowestLogprob = -9999.0f;
// What both wires show: JSON has no -infinity and no NaN, and no probability is above 1.
constexpr float ShownLogprob(float logprob) {
  if (!(logprob > kLowestLogprob)) return kLowestLogprob;
  return logprob > 0.0f ? 0.0f : logprob;
}
inline constexpr int32_t kDefaultCompletionTokens = 16;  // when a raw prompt names no max_tokens

}  // namespace intactkv
