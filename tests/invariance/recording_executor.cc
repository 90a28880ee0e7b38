#include "tests/invariance/recording_executor.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "tests/invariance/transcript.h"

namespace intactkv::test {
namespace {

std::vector<PageEntry> Slice(const std::vector<PageEntry>& entries, int32_t begin, int32_t count) {
  const auto first = entries.begin() + begin;
  return {first, first + count};
}

}  // namespace

RecordingExecutor::RecordingExecutor(std::unique_ptr<Executor> inner, bool all_rows, StepLog& log)
    : ForwardingExecutor(std::move(inner)), all_rows_(all_rows), log_(log) {}

absl::StatusOr<StepResult> RecordingExecutor::Execute(const StepPlan& plan) {
  const StepPlan asked = AskForAllRows(plan);
  ASSIGN_OR_RETURN(StepResult result, inner().Execute(asked));
  const auto vocab = static_cast<size_t>(vocab_size());
  CHECK_EQ(result.logits.size(), asked.samples.size() * vocab);
  log_.max_batch = std::max(log_.max_batch, static_cast<int32_t>(plan.sequences.size()));
  std::vector<SampledToken> planned_tokens;
  size_t next = 0;
  for (const PlanSequence& sequence : plan.sequences) {
    NoteSequence(plan, sequence);
    for (int32_t i = 0; i < sequence.num_rows; ++i) {
      const auto row = static_cast<size_t>(sequence.first_row + i);
      if (!asked.rows[row].wants_logits) continue;
      const auto logits = result.logits.begin() + static_cast<std::ptrdiff_t>(next * vocab);
      NoteRow(sequence.id, plan.rows[row].position,
              {logits, logits + static_cast<std::ptrdiff_t>(vocab)});
      if (plan.rows[row].wants_logits) planned_tokens.push_back(result.tokens[next]);
      ++next;
    }
  }
  ++log_.num_steps;
  result.tokens = std::move(planned_tokens);
  result.logits.clear();
  return result;
}

StepPlan RecordingExecutor::AskForAllRows(const StepPlan& plan) const {
  StepPlan asked = plan;
  asked.return_logits = true;
  if (!all_rows_) return asked;
  asked.samples.clear();
  size_t next = 0;
  for (PlanRow& row : asked.rows) {
    SampleRow greedy;
    greedy.params.temperature = 0;
    asked.samples.push_back(row.wants_logits ? plan.samples[next++] : greedy);
    row.wants_logits = true;
  }
  return asked;
}

void RecordingExecutor::NoteSequence(const StepPlan& plan, const PlanSequence& sequence) {
  SequenceLog& log = log_.sequences[sequence.id];
  const PlanRow& last = plan.rows[static_cast<size_t>(sequence.first_row + sequence.num_rows - 1)];
  log.num_pinned = sequence.num_pinned_tokens;
  log.num_tokens = last.position + 1;
  log.pinned =
      Slice(plan.pinned_entries, sequence.pinned_begin, BlocksFor(sequence.num_pinned_tokens));
  log.stored = Slice(plan.stored_entries, sequence.stored_begin, sequence.num_stored);
  log.hot_slot = sequence.hot_slot;
  log.last_step = log_.num_steps;
  const bool prompt_goes_on = !last.wants_logits;
  const bool inside_page = (log.num_tokens - log.num_pinned) % kPageTokens != 0;
  if (prompt_goes_on && inside_page) ++log_.num_chunks_inside_page;
}

void RecordingExecutor::NoteRow(SequenceId id, int32_t position, std::vector<float> logits) {
  const auto [it, is_new] = log_.sequences[id].rows.try_emplace(position);
  if (!is_new) {
    ++log_.num_recomputed_rows;
    if (!SameBits(it->second, logits)) ++log_.num_changed_rows;
  }
  it->second = std::move(logits);
}

}  // namespace intactkv::test
