// One row of logits becomes one token.
//
// Order: forbidden and disallowed ids go; bias and penalties (LogitEdits); temperature; top-k;
// top-p over what top-k left, renormalized; min-p against the most likely token. Then one draw:
// survivors in ascending id order, weights exp((logit - max) / temperature) in double, the first
// whose cumulative weight exceeds RandomUnit(seed, output_index) * total. Whatever else is in the
// batch has no part in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/sampling.h"

namespace intactkv {

// A temperature below this is greedy: exact argmax, the lowest id wins a tie.
inline constexpr float kGreedyTemperature = 0.01f;

// Scratch of one thread; allocates it once. Thread-compatible.
class Sampler {
 public:
  explicit Sampler(int vocab);

  // logits: [vocab]. NaN logits are never drawn. If no id is left, the token is the lowest id that
  // is not forbidden (0 if there is none).
  //   top-k  the k largest; equal logits by ascending id
  //   top-p  the shortest run of largest ones whose weight reaches top_p of the total
  //   min-p  those with probability >= min_p * the largest
  // Log probabilities are of all raw logits: logit - logsumexp, in double, ascending ids. For a row
  // with `scored` nothing else is done.
  void Sample(std::span<const float> logits, const SampleRow& row, SampledToken* out);

  size_t scratch_bytes() const;
  // What scratch_bytes() of a sampler will be.
  static int64_t ScratchBytes(int64_t vocab) {
    constexpr int64_t kWord = sizeof(uint32_t);
    return (vocab + 31) / 32 * kWord +
           vocab * static_cast<int64_t>(sizeof(Candidate) + sizeof(uint32_t));
  }

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  static bool Before(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }
  int32_t Choose(std::span<const float> logits, const SampleRow& row);
  void CollectCandidates(std::span<const float> logits, const SampleRow& row);
  void EditLogits(const SampleRow& row);
  int32_t FirstAllowed() const;
  void KeepTopK(int32_t k);
  void KeepTopP(float top_p, double max, double temperature);
  int32_t Draw(const SampleRow& row, double max);
  void FillLogprobs(std::span<const float> logits, int num_top, SampledToken* out);

  std::vector<uint32_t> allowed_;      // bit mask over the vocabulary
  std::vector<Candidate> candidates_;  // capacity: vocab
  // [vocab], zero between calls: 2 x (times in the output) + (1 if in the prompt).
  std::vector<uint32_t> history_;
};

}  // namespace intactkv
