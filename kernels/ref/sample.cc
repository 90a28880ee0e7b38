#include "kernels/ref/sample.h"

#include <algorithm>
#include <cmath>

#include "engine/base/rng.h"

namespace intactkv::ref {
namespace {

bool Allowed(const SampleRow& row, int32_t id) {
  const auto index = static_cast<uint32_t>(id);
  if (row.allowed != nullptr && (row.allowed[index / 32] >> (index % 32) & 1u) == 0) return false;
  if (row.params.edits != nullptr && !row.params.edits->allowed.empty()) {
    const std::vector<TokenId>& list = row.params.edits->allowed;
    if (std::find(list.begin(), list.end(), TokenId(id)) == list.end()) return false;
  }
  return std::find(row.forbidden.begin(), row.forbidden.end(), TokenId(id)) == row.forbidden.end();
}

double Weight(std::span<const float> logits, int32_t id, double max, const SampleRow& row) {
  const double logit = logits[static_cast<size_t>(id)];
  return std::exp((logit - max) / static_cast<double>(row.params.temperature));
}

}  // namespace

std::vector<float> Edited(std::span<const float> logits, const SampleRow& row) {
  std::vector<float> out(logits.begin(), logits.end());
  if (row.params.edits == nullptr) return out;
  const LogitEdits& edits = *row.params.edits;
  for (const auto& [id, bias] : edits.bias) out[static_cast<size_t>(id.value)] += bias;
  for (int32_t id = 0; static_cast<size_t>(id) < out.size(); ++id) {
    float& logit = out[static_cast<size_t>(id)];
    const auto times = std::count(row.output.begin(), row.output.end(), TokenId(id));
    const auto in_prompt = std::count(row.prompt.begin(), row.prompt.end(), TokenId(id));
    if (times + in_prompt > 0) {
      if (logit > 0.0f) {
        logit /= edits.repetition_penalty;
      } else {
        logit *= edits.repetition_penalty;
      }
    }
    logit -= edits.frequency_penalty * static_cast<float>(times);
    if (times > 0) logit -= edits.presence_penalty;
  }
  return out;
}

std::vector<int32_t> Survivors(std::span<const float> raw, const SampleRow& row) {
  const std::vector<float> logits = Edited(raw, row);
  std::vector<int32_t> ids;
  for (int32_t id = 0; static_cast<size_t>(id) < logits.size(); ++id) {
    if (Allowed(row, id)) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)];
    const float y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  const SamplingParams& p = row.params;
  if (p.temperature < 0.01f) return {ids.front()};
  if (p.top_k > 0 && static_cast<size_t>(p.top_k) < ids.size()) {
    ids.resize(static_cast<size_t>(p.top_k));
  }
  const double max = logits[static_cast<size_t>(ids.front())];
  std::vector<int32_t> ascending = ids;
  std::sort(ascending.begin(), ascending.end());
  double total = 0.0;
  for (const int32_t id : ascending) total += Weight(logits, id, max, row);
  if (p.top_p < 1.0f) {
    double sum = 0.0;
    size_t keep = 0;
    while (keep < ids.size() && sum < static_cast<double>(p.top_p) * total) {
      sum += Weight(logits, ids[keep++], max, row);
    }
    ids.resize(keep);
  }
  std::erase_if(
      ids, [&](int32_t id) { return Weight(logits, id, max, row) < static_cast<double>(p.min_p); });
  std::sort(ids.begin(), ids.end());
  return ids;
}

int32_t Sample(std::span<const float> raw, const SampleRow& row) {
  const std::vector<int32_t> ids = Survivors(raw, row);
  const std::vector<float> logits = Edited(raw, row);
  if (ids.size() == 1) return ids.front();
  double max = logits[static_cast<size_t>(ids.front())];
  for (const int32_t id : ids) {
    max = std::max(max, static_cast<double>(logits[static_cast<size_t>(id)]));
  }
  double total = 0.0;
  for (const int32_t id : ids) total += Weight(logits, id, max, row);
  const double target =
      RandomUnit(row.params.seed, static_cast<uint64_t>(row.output_index)) * total;
  double sum = 0.0;
  for (const int32_t id : ids) {
    sum += Weight(logits, id, max, row);
    if (sum > target) return id;
  }
  return ids.back();
}

double Logprob(std::span<const float> logits, int32_t id) {
  double max = logits[0];
  for (const float v : logits) max = std::max(max, static_cast<double>(v));
  double sum = 0.0;
  for (const float v : logits) sum += std::exp(static_cast<double>(v) - max);
  return static_cast<double>(logits[static_cast<size_t>(id)]) - max - std::log(sum);
}

}  // namespace intactkv::ref
