#include "engine/sched/plan_builder.h"

#include <algorithm>
#include <span>

#include "engine/base/check.h"

namespace intactkv {
namespace {

void AppendPinnedEntries(const Sequence& sequence, StepPlan& plan, PlanSequence& out) {
  out.num_pinned_tokens = sequence.num_pinned();
  out.pinned_begin = static_cast<int32_t>(plan.pinned_entries.size());
  for (const BlockRef& ref : sequence.kv.pinned.blocks) {
    plan.pinned_entries.emplace_back(PageClass::kPinned, ref.id().value);
  }
}

void AppendStoredEntries(const Sequence& sequence, int32_t num_stored, StepPlan& plan,
                         PlanSequence& out) {
  out.stored_begin = static_cast<int32_t>(plan.stored_entries.size());
  out.num_stored = num_stored;
  for (int32_t i = 0; i < num_stored; ++i) {
    const BlockRef& ref = sequence.kv.stored[static_cast<size_t>(i)];
    plan.stored_entries.emplace_back(PageClass::kStored, ref.id().value);
  }
  out.hot_slot = sequence.kv.hot->id().value;
}

// Blocks that are full after this chunk and were not before; a prefix build also writes its last,
// partial block.
void AppendPromotions(const Sequence& sequence, int32_t num_rows, StepPlan& plan) {
  const auto index = static_cast<int32_t>(plan.sequences.size()) - 1;
  const int32_t before = sequence.num_computed - sequence.num_pinned();
  const int32_t after = before + num_rows;
  for (int32_t block = before / kPageTokens; block < after / kPageTokens; ++block) {
    plan.promotions.push_back({.sequence = index, .block = block});
  }
  const bool at_end = num_rows == sequence.num_uncomputed();
  if (sequence.group->build_prefix && at_end && after % kPageTokens != 0) {
    plan.promotions.push_back(
        {.sequence = index, .block = after / kPageTokens, .num_valid = after % kPageTokens});
  }
}

// The last id of each bad word whose other ids are the end of `output`.
void ForbidBadWords(const LogitEdits& edits, std::span<const TokenId> output, SampleRow& row) {
  for (const std::vector<TokenId>& word : edits.bad_words) {
    const std::span<const TokenId> before = std::span(word).first(word.size() - 1);
    if (before.size() > output.size()) continue;
    const std::span<const TokenId> tail = output.last(before.size());
    if (std::equal(before.begin(), before.end(), tail.begin()))
      row.forbidden.push_back(word.back());
  }
}

SampleRow MakeSampleRow(const Sequence& sequence) {
  const GenerationRequest& request = sequence.group->request;
  SampleRow row;
  row.params = request.sampling;
  row.params.seed += static_cast<uint64_t>(sequence.choice);
  row.output_index = sequence.num_generated();
  if (row.output_index < request.min_new_tokens) row.forbidden = request.stop_token_ids;
  if (const LogitEdits* edits = request.sampling.edits.get()) {
    const std::span<const TokenId> tokens = sequence.tokens;
    const std::span<const TokenId> output = tokens.subspan(request.prompt.size());
    ForbidBadWords(*edits, output, row);
    if (edits->reads_history()) {
      row.prompt = tokens.first(request.prompt.size());
      row.output = output;
    }
  }
  return row;
}

SampleRow MakeScoredRow(const Sequence& sequence, int32_t position) {
  SampleRow row;
  row.params.num_logprobs = sequence.group->request.sampling.num_logprobs;
  row.scored = sequence.tokens[static_cast<size_t>(position) + 1];
  return row;
}

PlanSequence StartRows(const Sequence& sequence, int32_t num_rows, const StepPlan& plan) {
  PlanSequence out;
  out.id = sequence.id;
  out.first_row = static_cast<int32_t>(plan.rows.size());
  out.num_rows = num_rows;
  return out;
}

}  // namespace

int32_t AppendPinnedRows(const Sequence& sequence, int32_t num_rows, StepPlan& plan) {
  const int32_t end = sequence.num_scored + num_rows;
  CHECK_GE(num_rows, 1);
  CHECK_LE(end, std::min(sequence.num_to_score(), sequence.num_pinned()));
  PlanSequence out = StartRows(sequence, num_rows, plan);
  AppendPinnedEntries(sequence, plan, out);
  out.stored_begin = static_cast<int32_t>(plan.stored_entries.size());
  out.append = false;
  plan.sequences.push_back(out);
  for (int32_t position = sequence.num_scored; position < end; ++position) {
    plan.rows.push_back({.token = sequence.tokens[static_cast<size_t>(position)],
                         .position = position,
                         .wants_logits = true});
    plan.samples.push_back(MakeScoredRow(sequence, position));
  }
  return num_rows;
}

int32_t AppendChunk(const Sequence& sequence, int32_t num_rows, StepPlan& plan) {
  CHECK_GE(num_rows, 1);
  CHECK_LE(num_rows, sequence.num_uncomputed());
  const int32_t end = sequence.num_computed + num_rows;
  const int32_t num_stored = sequence.PrivateBlocksFor(end);
  CHECK_LE(static_cast<size_t>(num_stored), sequence.kv.stored.size());
  PlanSequence out = StartRows(sequence, num_rows, plan);
  AppendPinnedEntries(sequence, plan, out);
  AppendStoredEntries(sequence, num_stored, plan, out);
  plan.sequences.push_back(out);
  const bool samples = !sequence.group->build_prefix && end == sequence.num_tokens();
  const int32_t to_score = sequence.num_to_score();
  int32_t num_scored = 0;
  for (int32_t position = sequence.num_computed; position < end; ++position) {
    const bool scored = position >= sequence.num_scored && position < to_score;
    plan.rows.push_back({.token = sequence.tokens[static_cast<size_t>(position)],
                         .position = position,
                         .wants_logits = scored || (samples && position == end - 1)});
    if (!scored) continue;
    plan.samples.push_back(MakeScoredRow(sequence, position));
    ++num_scored;
  }
  if (samples) plan.samples.push_back(MakeSampleRow(sequence));
  AppendPromotions(sequence, num_rows, plan);
  return num_scored;
}

size_t NumLogitsRows(const StepPlan& plan, const PlanSequence& sequence) {
  const auto first = plan.rows.begin() + sequence.first_row;
  return static_cast<size_t>(std::count_if(first, first + sequence.num_rows,
                                           [](const PlanRow& row) { return row.wants_logits; }));
}

}  // namespace intactkv
