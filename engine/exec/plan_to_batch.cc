#include "engine/exec/plan_to_batch.h"

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

// Lives for one BuildBatch.
class BatchBuilder {
 public:
  BatchBuilder(const StepPlan& plan, const PlanLimits& limits) : plan_(plan), limits_(limits) {}

  absl::StatusOr<Batch> Run() {
    RETURN_IF_ERROR(CheckCounts());
    RETURN_IF_ERROR(AddEntries());
    int next_row = 0;
    for (size_t s = 0; s < plan_.sequences.size(); ++s) {
      const PlanSequence& sequence = plan_.sequences[s];
      if (sequence.first_row != next_row || sequence.num_rows < 1 ||
          sequence.num_rows > NumRows() - next_row) {
        return SequenceError(s, "its rows do not follow those of the sequence before it");
      }
      next_row += sequence.num_rows;
      RETURN_IF_ERROR(AddSequence(s));
    }
    if (next_row != NumRows()) return Error("rows after the last sequence belong to none");
    RETURN_IF_ERROR(AddPromotions());
    if (plan_.samples.size() != batch_.logits_rows.size()) {
      return Error(std::to_string(plan_.samples.size()) + " samples for " +
                   std::to_string(batch_.logits_rows.size()) + " rows that want logits");
    }
    return std::move(batch_);
  }

 private:
  static absl::Status Error(const std::string& why) { return InvalidArgument("step plan: " + why); }
  absl::Status SequenceError(size_t s, const std::string& why) const {
    return Error("sequence " + std::to_string(plan_.sequences[s].id.value) + ": " + why);
  }
  int NumRows() const { return static_cast<int>(plan_.rows.size()); }

  absl::Status CheckCounts() const {
    if (plan_.rows.empty()) return Error("it has no rows");
    if (plan_.rows.size() > static_cast<size_t>(limits_.max_rows)) {
      return Error(std::to_string(plan_.rows.size()) + " rows, at most " +
                   std::to_string(limits_.max_rows));
    }
    if (plan_.sequences.size() > static_cast<size_t>(limits_.max_sequences)) {
      return Error(std::to_string(plan_.sequences.size()) + " sequences, at most " +
                   std::to_string(limits_.max_sequences));
    }
    if (plan_.samples.size() > static_cast<size_t>(limits_.max_logits_rows)) {
      return Error(std::to_string(plan_.samples.size()) + " rows with logits, at most " +
                   std::to_string(limits_.max_logits_rows));
    }
    return absl::OkStatus();
  }

  absl::Status AddEntries() {
    for (const PageEntry entry : plan_.pinned_entries) {
      if (entry.page_class() != PageClass::kPinned || entry.slot() >= limits_.num_pinned_pages) {
        return Error("a pinned entry has another class or slot " + std::to_string(entry.slot()) +
                     " of " + std::to_string(limits_.num_pinned_pages));
      }
    }
    batch_.pinned_entries = plan_.pinned_entries;
    const bool is_build = limits_.num_pinned_pages == 0;
    for (const PageEntry entry : plan_.stored_entries) {
      const bool fits = entry.page_class() == PageClass::kStored ||
                        (is_build && entry.page_class() == PageClass::kPinned);
      if (!fits || entry.slot() >= limits_.num_stored_pages) {
        return Error("a stored entry has another class or slot " + std::to_string(entry.slot()) +
                     " of " + std::to_string(limits_.num_stored_pages));
      }
      batch_.stored_entries.emplace_back(PageClass::kStored, entry.slot());
    }
    return absl::OkStatus();
  }

  absl::Status AddSequence(size_t s) {
    const PlanSequence& sequence = plan_.sequences[s];
    RETURN_IF_ERROR(AddRows(s));
    const int c = sequence.num_pinned_tokens;
    const int begin = batch_.positions[static_cast<size_t>(sequence.first_row)];
    const int end = begin + sequence.num_rows;
    if (c < 0 || c > limits_.max_context) return SequenceError(s, "c is out of range");
    RETURN_IF_ERROR(CheckRange(s, sequence.pinned_begin, BlocksFor(c), batch_.pinned_entries));
    RETURN_IF_ERROR(
        CheckRange(s, sequence.stored_begin, sequence.num_stored, batch_.stored_entries));
    if (sequence.append) {
      RETURN_IF_ERROR(CheckAppend(s, begin, end));
    } else if (end > c) {
      return SequenceError(s, "a row that does not append lies at or above c");
    }
    batch_.sequences.push_back({sequence.first_row, sequence.num_rows, begin, c,
                                sequence.pinned_begin, sequence.stored_begin, sequence.num_stored,
                                sequence.hot_slot, sequence.append});
    return absl::OkStatus();
  }

  absl::Status AddRows(size_t s) {
    const PlanSequence& sequence = plan_.sequences[s];
    const int first = plan_.rows[static_cast<size_t>(sequence.first_row)].position;
    for (int i = 0; i < sequence.num_rows; ++i) {
      const int index = sequence.first_row + i;
      const PlanRow& row = plan_.rows[static_cast<size_t>(index)];
      if (row.token.value < 0 || row.token.value >= limits_.vocab) {
        return Error("row " + std::to_string(index) + ": token " + std::to_string(row.token.value) +
                     " is not in the vocabulary");
      }
      if (row.position < 0 || row.position >= limits_.max_context || row.position - i != first) {
        return Error("row " + std::to_string(index) + ": position " + std::to_string(row.position) +
                     " is out of range or out of order");
      }
      batch_.tokens.push_back(row.token.value);
      batch_.positions.push_back(row.position);
      if (row.wants_logits) batch_.logits_rows.push_back(index);
    }
    return absl::OkStatus();
  }

  absl::Status CheckRange(size_t s, int begin, int count,
                          const std::vector<PageEntry>& entries) const {
    const int size = static_cast<int>(entries.size());
    if (begin >= 0 && count >= 0 && begin <= size && count <= size - begin) return absl::OkStatus();
    return SequenceError(s, "its page entries reach beyond the plan's");
  }

  absl::Status CheckAppend(size_t s, int begin, int end) {
    const PlanSequence& sequence = plan_.sequences[s];
    const int c = sequence.num_pinned_tokens;
    if (begin < c) return SequenceError(s, "an appending row lies below c");
    if (sequence.num_stored < BlocksFor(end - c)) {
      return SequenceError(s, "it has " + std::to_string(sequence.num_stored) +
                                  " stored entries, needs " + std::to_string(BlocksFor(end - c)));
    }
    if (sequence.hot_slot < 0 || sequence.hot_slot >= limits_.num_hot_pages ||
        !hot_slots_.insert(sequence.hot_slot).second) {
      return SequenceError(
          s, "hot slot " + std::to_string(sequence.hot_slot) + " is out of range or taken");
    }
    const int first_filled = (begin - c) / kPageTokens;
    const int end_filled = (end - c) / kPageTokens;
    for (int block = first_filled; block < end_filled; ++block) {
      unpromoted_.emplace(static_cast<int>(s), block);
    }
    return absl::OkStatus();
  }

  absl::Status AddPromotions() {
    for (size_t i = 0; i < plan_.promotions.size(); ++i) {
      const PlanPromotion& promotion = plan_.promotions[i];
      if (promotion.sequence < 0 ||
          promotion.sequence >= static_cast<int>(plan_.sequences.size())) {
        return Error("promotion " + std::to_string(i) + ": no such sequence");
      }
      const bool partial = promotion.num_valid != kPageTokens;
      const bool known = partial ? IsOpenPage(promotion)
                                 : unpromoted_.erase({promotion.sequence, promotion.block}) == 1;
      if (!known) {
        return Error("promotion " + std::to_string(i) + ": block " +
                     std::to_string(promotion.block) + " is not filled by this step, or twice");
      }
      if (!targets_.insert(TargetSlot(promotion)).second) {
        return Error("promotion " + std::to_string(i) + ": another one writes the same page");
      }
      batch_.promotions.push_back({promotion.sequence, promotion.block, promotion.num_valid});
    }
    if (unpromoted_.empty()) return absl::OkStatus();
    const auto [s, block] = *unpromoted_.begin();
    return SequenceError(static_cast<size_t>(s), "block " + std::to_string(block) +
                                                     " is filled by this step but not promoted");
  }

  // Whether the promotion is the partial one at the end of a prefix build: of the page that stays
  // open after the step, with exactly its tokens.
  bool IsOpenPage(const PlanPromotion& promotion) const {
    const BatchSequence& sequence = batch_.sequences[static_cast<size_t>(promotion.sequence)];
    const int end = sequence.first_position + sequence.num_rows - sequence.num_pinned_tokens;
    return limits_.allow_partial_promotion && sequence.append &&
           promotion.num_valid == end % kPageTokens && promotion.block == end / kPageTokens &&
           promotion.num_valid > 0;
  }

  int TargetSlot(const PlanPromotion& promotion) const {
    const BatchSequence& sequence = batch_.sequences[static_cast<size_t>(promotion.sequence)];
    return batch_.stored_entries[static_cast<size_t>(sequence.stored_begin + promotion.block)]
        .slot();
  }

  const StepPlan& plan_;
  const PlanLimits& limits_;
  Batch batch_;
  std::set<int> hot_slots_;
  std::set<std::pair<int, int>> unpromoted_;  // {sequence, block} filled by this step
  std::set<int> targets_;                     // stored slots written by this step
};

}  // namespace

absl::StatusOr<Batch> BuildBatch(const StepPlan& plan, const PlanLimits& limits) {
  return BatchBuilder(plan, limits).Run();
}

}  // namespace intactkv
