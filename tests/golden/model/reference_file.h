// Reader of reference.bin, the recorded answers of Hugging Face Transformers on the default model
// (README.md next to this file describes the format and how it was made).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/ids.h"

namespace intactkv::golden {

// What the reference said about the row that yields one generated token.
struct ReferencePosition {
  TokenId greedy{0};                // the argmax; equals top_ids[0]
  float logsumexp = 0;              // natural log, over the whole vocabulary
  float max_abs_logit = 0;          // > 0; the scale of the error bounds
  float margin = 0;                 // largest minus second largest logit, >= 0
  std::vector<TokenId> top_ids;     // [num_top], by descending logit, ties by ascending id
  std::vector<float> top_logits;    // [num_top]
  std::vector<float> fixed_logits;  // [num_fixed], of Reference::fixed_ids
};

struct ReferencePrompt {
  std::vector<TokenId> ids;                  // >= 1 id
  std::vector<ReferencePosition> positions;  // position i reads ids and the first i greedy ids
  std::vector<TokenId> GreedyIds() const;
};

// Immutable after reading; Thread-safe.
struct Reference {
  int vocab_size = 0;
  std::array<uint8_t, 32> model_sha256{};
  std::vector<TokenId> fixed_ids;  // ascending
  std::vector<ReferencePrompt> prompts;
};

// Every count, id and length is checked against the bytes and the vocabulary. kDataLoss names the
// field that does not fit; nothing outside `bytes` is read.
absl::StatusOr<Reference> ParseReference(std::span<const uint8_t> bytes);

// kNotFound: no such file; else as ParseReference.
absl::StatusOr<Reference> ReadReferenceFile(const std::string& path);

}  // namespace intactkv::golden
