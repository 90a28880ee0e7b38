// How one row of logits becomes one token. Plain values, used by engine/api, StepPlan and the
// Backend's Sample phase.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/ids.h"

namespace intactkv {

inline constexpr int32_t kMaxLogprobs = 20;

// What is done to the raw logits before temperature, in this order: the ids that `allowed` leaves
// out go, then those that would complete a `bad_words` entry; then bias; then, for ids in prompt or
// output, repetition (l > 0 ? l / r : l * r); then frequency x (times in the output) and presence
// (once, if in the output) are subtracted. Made once per request and shared by its rows; immutable.
struct LogitEdits {
  std::vector<std::pair<TokenId, float>> bias = {};  // distinct ids, ascending; finite
  float frequency_penalty = 0.0f;                    // [-2, 2]; 0 = off
  float presence_penalty = 0.0f;                     // [-2, 2]; 0 = off
  float repetition_penalty = 1.0f;                   // (0, 2]; 1 = off
  std::vector<TokenId> allowed = {};                 // distinct, ascending; empty: all
  std::vector<std::vector<TokenId>> bad_words = {};  // none empty; never completed in the output

  bool reads_history() const {
    return frequency_penalty != 0.0f || presence_penalty != 0.0f || repetition_penalty != 1.0f;
  }
};

struct SamplingParams {
  float temperature = 1.0f;  // finite, >= 0; 0 = greedy (exact argmax, lowest id wins a tie)
  int32_t top_k = 0;         // >= 0; 0 = off
  float top_p = 1.0f;        // (0, 1]; 1 = off
  float min_p = 0.0f;        // [0, 1]; 0 = off
  uint64_t seed = 0;         // the draw depends on (seed, output index) alone
  int32_t num_logprobs =
      -1;  // -1: none; 0..kMaxLogprobs: the chosen token's and this many of the top
  std::shared_ptr<const LogitEdits> edits = nullptr;  // nullptr: none
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
  std::vector<TokenId> forbidden;  // never drawn (min_tokens forbids the stop ids; bad words)
  std::span<const TokenId> prompt, output;  // if params.edits reads history; not owned
  const uint32_t* allowed =
      nullptr;  // optional bit mask over the vocabulary (constrained decoding); not owned
  // The prompt's next token: it is reported with its log probability, and nothing is drawn.
  std::optional<TokenId> scored = std::nullopt;
};

}  // namespace intactkv
