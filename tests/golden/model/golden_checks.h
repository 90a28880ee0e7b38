// The two promises about the default model, checked against the reference's record: exact in the
// reference configuration, close in the default one. What fails is said prompt by prompt.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/golden/model/reference_file.h"
#include "tests/golden/model/serving_stack.h"

namespace intactkv::golden {

// Reference configuration. Distances are relative to the position's max |reference logit|.
inline constexpr double kLogitBound = 1e-4;       // logits and logsumexp; inclusive
inline constexpr double kClearMargin = 1e-3;      // above it the argmax must agree
inline constexpr double kMaxUnclearShare = 0.01;  // positions that may lie at or below it
// Default configuration; both inclusive.
inline constexpr double kMaxMeanKl = 0.006;          // of the default model
inline constexpr double kMaxMeanKlOfSecond = 0.010;  // of the second one
inline constexpr double kMinTop1 = 0.94;

struct GoldenReport {
  std::vector<std::string> failures;  // one line each; empty: the promise is kept
  int num_positions = 0;
  int num_unclear = 0;  // positions with a margin <= kClearMargin
  double worst_logit = 0, worst_logsumexp = 0;
  double mean_kl = 0, worst_kl = 0, top1 = 0;
  int64_t pinned_tokens = 0;        // over all teacher-forced requests
  int32_t least_pinned_tokens = 0;  // of one request
  // "640 positions: KL mean ..., " for logs.
  std::string Summary() const;
};

// Runs every prompt teacher-forced, `group` of them at once (>= 1), and, with check_exact, once
// more freely. kInvalidArgument: the stack's vocabulary is another one; errors of the stack pass.
struct GoldenOptions {
  size_t group = 5;
  bool check_exact = false;  // the reference configuration's bounds
  bool check_close = false;  // the default configuration's bounds
  double max_mean_kl = kMaxMeanKl;
};
absl::StatusOr<GoldenReport> RunGolden(const Reference& reference, ServingStack& stack,
                                       const GoldenOptions& options);

}  // namespace intactkv::golden
