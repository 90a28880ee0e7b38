#include "tests/golden/model/golden_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/check.h"

namespace intactkv::golden {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

float At(std::span<const float> logits, TokenId id) {
  return logits[static_cast<size_t>(id.value)];
}

double LargestDelta(std::span<const TokenId> ids, std::span<const float> want,
                    std::span<const float> logits) {
  CHECK_EQ(ids.size(), want.size());
  double largest = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    largest = std::max(largest, std::abs(double{At(logits, ids[i])} - double{want[i]}));
  }
  return largest;
}

// The served probability of "all other ids" is summed directly: 1 - sum(top) would lose it when the
// top ids hold nearly everything.
double CellKl(const ReferencePosition& reference, std::span<const float> logits, double logsumexp) {
  std::vector<bool> in_top(logits.size());
  double kl = 0, reference_rest = 1;
  for (size_t i = 0; i < reference.top_ids.size(); ++i) {
    const TokenId id = reference.top_ids[i];
    in_top[static_cast<size_t>(id.value)] = true;
    const double log_p = double{reference.top_logits[i]} - double{reference.logsumexp};
    const double log_q = double{At(logits, id)} - logsumexp;
    kl += std::exp(log_p) * (log_p - log_q);
    reference_rest -= std::exp(log_p);
  }
  if (reference_rest <= 0) return kl;
  double served_rest = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!in_top[id]) served_rest += std::exp(double{logits[id]} - logsumexp);
  }
  return kl + reference_rest * std::log(reference_rest / served_rest);
}

}  // namespace

double LogSumExp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return largest + std::log(sum);
}

RowDistance CompareRow(std::span<const TokenId> fixed_ids, const ReferencePosition& reference,
                       std::span<const float> logits) {
  RowDistance row;
  row.finite = std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); });
  if (!row.finite) {
    row.logit = row.logsumexp = row.kl = kInfinity;
    return row;
  }
  const auto best = std::max_element(logits.begin(), logits.end());  // the first of equals
  row.argmax = TokenId(static_cast<int32_t>(best - logits.begin()));
  const double logsumexp = LogSumExp(logits);
  const double scale = reference.max_abs_logit;
  row.logit = std::max(LargestDelta(reference.top_ids, reference.top_logits, logits),
                       LargestDelta(fixed_ids, reference.fixed_logits, logits)) /
              scale;
  row.logsumexp = std::abs(logsumexp - double{reference.logsumexp}) / scale;
  row.kl = CellKl(reference, logits, logsumexp);
  return row;
}

}  // namespace intactkv::golden
