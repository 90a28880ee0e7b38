// Checks a StepPlan and translates it into the kernels' Batch.
#pragma once

#include "absl/status/statusor.h"
#include "engine/sched/executor.h"
#include "kernels/api/batch.h"

namespace intactkv {

// What a plan is held against. Page counts are of the pools that the executor was given.
struct PlanLimits {
  int vocab = 0;
  int max_rows = 0;
  int max_sequences = 0;
  int max_context = 0;
  int max_logits_rows = 0;
  int num_pinned_pages = 0;  // 0: a prefix build, nothing is pinned
  int num_stored_pages = 0;
  int num_hot_pages = 0;
  // The stored format is no integer format: the last page of a prefix build may be promoted partly.
  bool allow_partial_promotion = false;
};

// kInvalidArgument, naming row, sequence or promotion, if the plan breaks a rule of executor.h or
// batch.h: rows of a sequence consecutive in the plan and in position; appending rows at or above
// c, others below; entries in range and of their class; one hot slot per appending sequence; every
// page that the step fills promoted exactly once; one sample per row that wants logits. In a prefix
// build (num_pinned_pages == 0) stored entries may be of class kPinned: they are slots of the
// serving backend's pinned pool; the batch calls them kStored. O(rows + entries).
absl::StatusOr<Batch> BuildBatch(const StepPlan& plan, const PlanLimits& limits);

}  // namespace intactkv
