// How one row of logits becomes one token. Plain values, used by engine/api, StepPlan and the
// Backend's Sample phase.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/ids.h"

namespace intactkv {

inline constexpr int32_t kMaxLogprobs = 20;

struct SamplingParams {
  float temperature = 1.0f;  // finite, >= 0; 0 = greedy (exact argmax, lowest id wins a tie)
  int32_t top_k = 0;         // >= 0; 0 = off
  float top_p = 1.0f;        // (0, 1]; 1 = off
  float min_p = 0.0f;        // [0, 1]; 0 = off
  uint64_t seed = 0;         // the draw depends on (seed, output index) alone
  int32_t num_logprobs =
      -1;  // -1: none; 0..kMaxLogprobs: the chosen token's and this many of the top
};

struct TokenLogprob {
  TokenId token;
  float logprob;  // natural log; log-softmax of the RAW logits, before bias, masks and temperature
};

struct SampledToken {
  TokenId token;
  float logprob = 0.0f;           // set when num_logprobs >= 0
  std::vector<TokenLogprob> top;  // num_logprobs entries, descending; ties by ascending id
};

// One row that wants a token.
struct SampleRow {
  SamplingParams params;
  int64_t output_index = 0;  // 0 for the first generated token of this sequence; the random counter
  std::vector<TokenId> forbidden;  // never drawn (min_tokens forbids the stop ids)
  const uint32_t* allowed =
      nullptr;  // optional bit mask over the vocabulary (constrained decoding); not owned
};

}  // namespace intactkv
