#include "engine/core/engine_metrics.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"

namespace intactkv {
namespace {

Histogram MakeHistogram(std::vector<double> bounds) {
  Histogram histogram;
  histogram.counts.assign(bounds.size() + 1, 0);
  histogram.bounds = std::move(bounds);
  return histogram;
}

}  // namespace

void Observe(Histogram& histogram, double value) {
  CHECK_EQ(histogram.counts.size(), histogram.bounds.size() + 1);
  const auto at = std::ranges::lower_bound(histogram.bounds, value);
  ++histogram.counts[static_cast<size_t>(at - histogram.bounds.begin())];
  histogram.sum += value;
}

EngineStats MakeEmptyStats() {
  EngineStats stats;
  stats.ttft_seconds =
      MakeHistogram({0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 60, 120});
  stats.itl_seconds = MakeHistogram(
      {0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2});
  stats.queue_seconds =
      MakeHistogram({0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120});
  stats.e2e_seconds = MakeHistogram({0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600});
  stats.batch_rows = MakeHistogram({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096});
  return stats;
}

FinishReason ReasonOf(const absl::Status& status, FinishReason own) {
  if (status.ok()) return own;
  return status.code() == absl::StatusCode::kCancelled ? FinishReason::kCancelled
                                                       : FinishReason::kError;
}

}  // namespace intactkv
