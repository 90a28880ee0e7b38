#include "tests/golden/model/kv_study.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/base/check.h"
#include "tests/golden/model/golden_metrics.h"

namespace intactkv::golden {

void FormatCost::AddRow(std::span<const float> reference, std::span<const float> served,
                        TokenId next) {
  CHECK_EQ(reference.size(), served.size());
  CHECK_LT(static_cast<size_t>(next.value), reference.size());
  const double reference_sum = LogSumExp(reference), served_sum = LogSumExp(served);
  double kl = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = double{reference[i]} - reference_sum;
    kl += std::exp(log_p) * (log_p - (double{served[i]} - served_sum));
  }
  const auto best = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  const size_t id = static_cast<size_t>(next.value);
  ++num_rows_;
  num_agree_ += best(reference) == best(served) ? 1 : 0;
  sum_kl_ += kl;
  sum_log_ratio_ += (double{reference[id]} - reference_sum) - (double{served[id]} - served_sum);
}

double FormatCost::mean_kl() const { return sum_kl_ / static_cast<double>(num_rows_); }

double FormatCost::top1_percent() const {
  return 100.0 * static_cast<double>(num_agree_) / static_cast<double>(num_rows_);
}

double FormatCost::perplexity_percent() const {
  return 100.0 * std::expm1(sum_log_ratio_ / static_cast<double>(num_rows_));
}

std::string FormatCost::Summary() const {
  char text[128];
  std::snprintf(text, sizeof(text), "%lld rows: mean KL %.5f, top-1 %.1f %%, perplexity %+.2f %%",
                static_cast<long long>(num_rows_), mean_kl(), top1_percent(), perplexity_percent());
  return text;
}

}  // namespace intactkv::golden
