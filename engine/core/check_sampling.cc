#include "engine/core/check_sampling.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/base/status_macros.h"

namespace intactkv {

namespace {

bool InRange(float value, float low, float high) { return value >= low && value <= high; }

absl::Status CheckIds(const LogitEdits& edits, int32_t vocab_size) {
  const auto valid = [vocab_size](TokenId id) { return id.value >= 0 && id.value < vocab_size; };
  for (size_t i = 0; i < edits.bias.size(); ++i) {
    const auto& [id, bias] = edits.bias[i];
    if (!valid(id) || (i > 0 && edits.bias[i - 1].first.value >= id.value)) {
      return InvalidArgument("logit_bias needs distinct, ascending token ids of the vocabulary");
    }
    if (!std::isfinite(bias)) return InvalidArgument("logit_bias must be finite");
  }
  for (size_t i = 0; i < edits.allowed.size(); ++i) {
    if (!valid(edits.allowed[i]) ||
        (i > 0 && edits.allowed[i - 1].value >= edits.allowed[i].value)) {
      return InvalidArgument(
          "allowed_token_ids needs distinct, ascending token ids of the vocabulary");
    }
  }
  for (const std::vector<TokenId>& word : edits.bad_words) {
    if (word.empty() || !std::all_of(word.begin(), word.end(), valid)) {
      return InvalidArgument("bad_words needs token ids of the vocabulary");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEdits(const LogitEdits& edits, int32_t vocab_size) {
  if (!InRange(edits.frequency_penalty, -2.0f, 2.0f)) {
    return InvalidArgument("frequency_penalty must be in -2..2");
  }
  if (!InRange(edits.presence_penalty, -2.0f, 2.0f)) {
    return InvalidArgument("presence_penalty must be in -2..2");
  }
  if (!(edits.repetition_penalty > 0.0f && edits.repetition_penalty <= 2.0f)) {
    return InvalidArgument("repetition_penalty must be above 0 and at most 2");
  }
  return CheckIds(edits, vocab_size);
}

}  // namespace

absl::Status CheckSampling(const SamplingParams& params, int32_t vocab_size) {
  // Written so that NaN fails.
  if (!(std::isfinite(params.temperature) && params.temperature >= 0.0f)) {
    return InvalidArgument("temperature must be a finite number >= 0");
  }
  if (params.top_k < 0) return InvalidArgument("top_k must be >= 0");
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    return InvalidArgument("top_p must be above 0 and at most 1");
  }
  if (!(params.min_p >= 0.0f && params.min_p <= 1.0f)) {
    return InvalidArgument("min_p must be in 0..1");
  }
  if (params.num_logprobs < -1 || params.num_logprobs > kMaxLogprobs) {
    return InvalidArgument("num_logprobs must be in -1.." + std::to_string(kMaxLogprobs));
  }
  return params.edits == nullptr ? absl::OkStatus() : CheckEdits(*params.edits, vocab_size);
}

}  // namespace intactkv
