// An Executor around another that keeps the logits of every row it computes, and what it saw on the
// way: batch sizes, chunk ends, pages.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/sched/executor.h"
#include "tests/support/forwarding_executor.h"

namespace intactkv::test {

// One sequence: its rows over its whole life, its pages as of the last step that it was part of.
struct SequenceLog {
  std::map<int32_t, std::vector<float>> rows;  // logits by absolute position
  int32_t num_pinned = 0;                      // c
  int32_t num_tokens = 0;                      // positions 0..num_tokens-1 have their KV
  std::vector<PageEntry> pinned, stored;
  int32_t hot_slot = -1;
  int64_t last_step = -1;
};

struct StepLog {
  std::map<SequenceId, SequenceLog> sequences;
  int64_t num_steps = 0;
  int32_t max_batch = 0;               // sequences in one step
  int64_t num_chunks_inside_page = 0;  // chunks after which a prompt goes on inside a page
  int64_t num_recomputed_rows = 0;     // rows of a position that was computed before ...
  int64_t num_changed_rows = 0;        // ... and came out with other bits
};

// With `all_rows` each row of a step is made to want logits; its neighbours, pages and tokens stay
// as planned. Without, only the rows that the plan itself asks for are kept. Engine thread only;
// `log` must outlive the executor.
class RecordingExecutor : public ForwardingExecutor {
 public:
  RecordingExecutor(std::unique_ptr<Executor> inner, bool all_rows, StepLog& log);
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override;

 private:
  StepPlan AskForAllRows(const StepPlan& plan) const;
  void NoteSequence(const StepPlan& plan, const PlanSequence& sequence);
  void NoteRow(SequenceId id, int32_t position, std::vector<float> logits);

  const bool all_rows_;
  StepLog& log_;
};

}  // namespace intactkv::test
