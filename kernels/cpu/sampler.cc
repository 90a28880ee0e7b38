#include "kernels/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace intactkv {
namespace {

double Weight(float logit, double max, double temperature) {
  return std::exp((static_cast<double>(logit) - max) / temperature);
}

}  // namespace

Sampler::Sampler(int vocab)
    : allowed_((static_cast<size_t>(vocab) + 31) / 32), history_(static_cast<size_t>(vocab)) {
  candidates_.reserve(static_cast<size_t>(vocab));
}

size_t Sampler::scratch_bytes() const {
  return (allowed_.size() + history_.size()) * sizeof(uint32_t) +
         candidates_.capacity() * sizeof(Candidate);
}

void Sampler::Sample(std::span<const float> logits, const SampleRow& row, SampledToken* out) {
  CHECK_LE(logits.size(), candidates_.capacity());
  out->token = row.scored ? *row.scored : TokenId(Choose(logits, row));
  out->logprob = 0.0f;
  out->top.clear();
  if (row.params.num_logprobs >= 0) FillLogprobs(logits, row.params.num_logprobs, out);
}

int32_t Sampler::Choose(std::span<const float> logits, const SampleRow& row) {
  CollectCandidates(logits, row);
  if (row.params.edits != nullptr) EditLogits(row);
  if (candidates_.empty()) return FirstAllowed();
  // Candidates are in ascending id order, and max_element keeps the first of equals.
  const Candidate best =
      *std::max_element(candidates_.begin(), candidates_.end(),
                        [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; });
  const bool draw = row.params.temperature >= kGreedyTemperature && std::isfinite(best.logit);
  return draw ? Draw(row, best.logit) : best.id;
}

void Sampler::CollectCandidates(std::span<const float> logits, const SampleRow& row) {
  const LogitEdits* edits = row.params.edits.get();
  const bool has_list = edits != nullptr && !edits->allowed.empty();
  if (has_list) {
    std::fill(allowed_.begin(), allowed_.end(), 0u);
    for (const TokenId id : edits->allowed) {
      const size_t word = static_cast<size_t>(id.value) / 32;
      const uint32_t bit = 1u << (id.value % 32);
      if (row.allowed == nullptr || (row.allowed[word] & bit) != 0) allowed_[word] |= bit;
    }
  } else if (row.allowed != nullptr) {
    std::copy_n(row.allowed, allowed_.size(), allowed_.begin());
  } else {
    std::fill(allowed_.begin(), allowed_.end(), ~0u);
  }
  for (const TokenId id : row.forbidden) {
    if (id.value < 0 || static_cast<size_t>(id.value) >= logits.size()) continue;
    allowed_[static_cast<size_t>(id.value) / 32] &= ~(1u << (id.value % 32));
  }
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if ((allowed_[i / 32] >> (i % 32) & 1u) == 0 || std::isnan(logits[i])) continue;
    candidates_.push_back({logits[i], static_cast<int32_t>(i)});
  }
}

void Sampler::EditLogits(const SampleRow& row) {
  const LogitEdits& edits = *row.params.edits;
  for (const TokenId id : row.prompt) history_[static_cast<size_t>(id.value)] |= 1;
  for (const TokenId id : row.output) history_[static_cast<size_t>(id.value)] += 2;
  auto bias = edits.bias.begin();
  for (Candidate& c : candidates_) {
    while (bias != edits.bias.end() && bias->first.value < c.id) ++bias;
    if (bias != edits.bias.end() && bias->first.value == c.id) c.logit += bias->second;
    const uint32_t seen = history_[static_cast<size_t>(c.id)];
    if (seen == 0) continue;
    const float r = edits.repetition_penalty;
    c.logit = c.logit > 0.0f ? c.logit / r : c.logit * r;
    const uint32_t times = seen / 2;
    if (times == 0) continue;
    c.logit -= edits.frequency_penalty * static_cast<float>(times);
    c.logit -= edits.presence_penalty;
  }
  for (const TokenId id : row.prompt) history_[static_cast<size_t>(id.value)] = 0;
  for (const TokenId id : row.output) history_[static_cast<size_t>(id.value)] = 0;
}

int32_t Sampler::FirstAllowed() const {
  for (size_t i = 0; i < candidates_.capacity(); ++i) {
    if (i / 32 < allowed_.size() && (allowed_[i / 32] >> (i % 32) & 1u) != 0) {
      return static_cast<int32_t>(i);
    }
  }
  return 0;
}

void Sampler::KeepTopK(int32_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + (k - 1), candidates_.end(), Before);
  candidates_.resize(static_cast<size_t>(k));
}

void Sampler::KeepTopP(float top_p, double max, double temperature) {
  if (top_p >= 1.0f) return;
  double total = 0.0;
  for (const Candidate& c : candidates_) total += Weight(c.logit, max, temperature);
  const double target = static_cast<double>(top_p) * total;
  // Sorts ever longer heads until one holds the nucleus: it is short as a rule, the vocabulary is
  // not.
  double sum = 0.0;
  size_t done = 0;
  for (size_t head = 64; done < candidates_.size(); head *= 4) {
    head = std::min(head, candidates_.size());
    std::partial_sort(candidates_.begin() + static_cast<std::ptrdiff_t>(done),
                      candidates_.begin() + static_cast<std::ptrdiff_t>(head), candidates_.end(),
                      Before);
    for (; done < head; ++done) {
      sum += Weight(candidates_[done].logit, max, temperature);
      if (sum < target) continue;
      candidates_.resize(done + 1);
      return;
    }
  }
}

int32_t Sampler::Draw(const SampleRow& row, double max) {
  const double temperature = row.params.temperature;
  KeepTopK(row.params.top_k);
  // top-k leaves no order; sums run in ascending ids so that they do not depend on it.
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.id < b.id; };
  if (row.params.top_k > 0) std::sort(candidates_.begin(), candidates_.end(), by_id);
  KeepTopP(row.params.top_p, max, temperature);
  if (row.params.min_p > 0.0f) {
    std::erase_if(candidates_, [&](const Candidate& c) {
      return Weight(c.logit, max, temperature) < static_cast<double>(row.params.min_p);
    });
  }
  if (row.params.top_p < 1.0f) std::sort(candidates_.begin(), candidates_.end(), by_id);
  double total = 0.0;
  for (const Candidate& c : candidates_) total += Weight(c.logit, max, temperature);
  const double target =
      RandomUnit(row.params.seed, static_cast<uint64_t>(row.output_index)) * total;
  double sum = 0.0;
  int32_t last = candidates_.front().id;
  for (const Candidate& c : candidates_) {
    const double weight = Weight(c.logit, max, temperature);
    sum += weight;
    if (sum > target) return c.id;
    if (weight > 0.0) last = c.id;
  }
  return last;
}

void Sampler::FillLogprobs(std::span<const float> logits, int num_top, SampledToken* out) {
  candidates_.clear();
  double max = -std::numeric_limits<double>::infinity();
  bool nan = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    nan = nan || std::isnan(logits[i]);
    // A NaN would break the order below; the result is NaN anyway.
    const float key = std::isnan(logits[i]) ? -std::numeric_limits<float>::infinity() : logits[i];
    max = std::max(max, static_cast<double>(key));
    candidates_.push_back({key, static_cast<int32_t>(i)});
  }
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
  const double log_sum = nan ? std::numeric_limits<double>::quiet_NaN() : max + std::log(sum);
  const auto logprob = [&](int32_t id) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum);
  };
  out->logprob = logprob(out->token.value);
  const size_t count = std::min(static_cast<size_t>(num_top), candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(count),
                    candidates_.end(), Before);
  for (size_t i = 0; i < count; ++i) {
    out->top.push_back({TokenId(candidates_[i].id), logprob(candidates_[i].id)});
  }
}

}  // namespace intactkv
