#include "kernels/cpu/kv_plan.h"

#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "kernels/cpu/attn_kernels.h"

namespace intactkv {
namespace {

absl::Status Bad(int sequence, const std::string& what) {
  return InvalidArgument("batch sequence " + std::to_string(sequence) + ": " + what);
}

int CeilDiv(int a, int b) { return (a + b - 1) / b; }

// Entries [begin, begin + count) exist and their slots are in [0, num_pages).
bool EntriesFit(const std::vector<PageEntry>& entries, int64_t begin, int64_t count,
                int num_pages) {
  if (begin < 0 || count < 0 || begin + count > static_cast<int64_t>(entries.size())) return false;
  const auto first = entries.begin() + begin;
  return std::all_of(first, first + count,
                     [&](PageEntry entry) { return entry.slot() < num_pages; });
}

}  // namespace

int MaxScratchPages(const KvPlanLimits& limits) {
  return limits.max_rows / kPageTokens + 2 * limits.max_sequences;
}

int MaxItemsPerRow(const KvPlanLimits& limits) {
  // Pinned and stored tokens together are below max_context; each segment rounds up once.
  return limits.max_context / (kAttnItemPages * kPageTokens) + 3;
}

KvPlan::KvPlan(const KvPlanLimits& limits) : limits_(limits) {
  // Each touched page, and each sequence that does not append, ends with at most one tile that is
  // not full.
  const int pages = MaxScratchPages(limits);
  const int tiles = limits.max_rows * limits.group / kAttnMaxRows + pages + limits.max_sequences;
  touched_.reserve(static_cast<size_t>(pages));
  tiles_.reserve(static_cast<size_t>(tiles));
}

absl::Status KvPlan::Build(const Batch& batch) {
  touched_.clear();
  tiles_.clear();
  max_items_ = 0;
  const int num_sequences = static_cast<int>(batch.sequences.size());
  if (batch.num_rows() > limits_.max_rows || num_sequences > limits_.max_sequences) {
    return InvalidArgument("batch of " + std::to_string(batch.num_rows()) + " rows and " +
                           std::to_string(num_sequences) + " sequences; the context has " +
                           std::to_string(limits_.max_rows) + " and " +
                           std::to_string(limits_.max_sequences));
  }
  if (batch.positions.size() != batch.tokens.size()) {
    return InvalidArgument("batch with " + std::to_string(batch.tokens.size()) + " tokens and " +
                           std::to_string(batch.positions.size()) + " positions");
  }
  int rows = 0;
  for (int i = 0; i < num_sequences; ++i) {
    const BatchSequence& sequence = batch.sequences[static_cast<size_t>(i)];
    if (sequence.first_row != rows) return Bad(i, "rows do not follow the previous sequence");
    RETURN_IF_ERROR(CheckSequence(batch, i));
    RETURN_IF_ERROR(CheckEntries(batch, sequence));
    rows += sequence.num_rows;
  }
  if (rows != batch.num_rows()) {
    return InvalidArgument("batch sequences cover " + std::to_string(rows) + " of " +
                           std::to_string(batch.num_rows()) + " rows");
  }
  int next_scratch = 0;
  for (int i = 0; i < num_sequences; ++i) {
    const BatchSequence& sequence = batch.sequences[static_cast<size_t>(i)];
    if (sequence.append) {
      AddAppending(sequence, i, &next_scratch);
    } else {
      AddTiles(sequence, {.sequence = i, .first_row = sequence.first_row}, sequence.num_rows);
    }
  }
  CHECK_LE(next_scratch, MaxScratchPages(limits_));
  for (const Promotion& promotion : batch.promotions) {
    const absl::Status status = AddPromotion(batch, promotion);
    if (status.ok()) continue;
    touched_.clear();
    tiles_.clear();
    return status;
  }
  return absl::OkStatus();
}

absl::Status KvPlan::CheckSequence(const Batch& batch, int index) const {
  const BatchSequence& s = batch.sequences[static_cast<size_t>(index)];
  const int64_t end_row = int64_t{s.first_row} + s.num_rows;
  if (s.num_rows < 1 || end_row > batch.num_rows()) {
    return Bad(index, std::to_string(s.num_rows) + " rows from " + std::to_string(s.first_row));
  }
  const int64_t end = int64_t{s.first_position} + s.num_rows;
  if (s.first_position < 0 || end > limits_.max_context) {
    return Bad(index, "positions up to " + std::to_string(end) + " of " +
                          std::to_string(limits_.max_context));
  }
  for (int i = 0; i < s.num_rows; ++i) {
    if (batch.positions[static_cast<size_t>(s.first_row + i)] != s.first_position + i) {
      return Bad(index, "positions are not consecutive at row " + std::to_string(s.first_row + i));
    }
  }
  const int c = s.num_pinned_tokens;
  if (c < 0) return Bad(index, std::to_string(c) + " pinned tokens");
  if (s.append && s.first_position < c) return Bad(index, "appends below its pinned tokens");
  if (!s.append && end > c) return Bad(index, "reads beyond its pinned tokens without appending");
  if (s.append && (s.hot_slot < 0 || s.hot_slot >= limits_.num_hot_pages)) {
    return Bad(index, "hot slot " + std::to_string(s.hot_slot));
  }
  for (int i = 0; s.append && i < index; ++i) {
    const BatchSequence& other = batch.sequences[static_cast<size_t>(i)];
    if (other.append && other.hot_slot == s.hot_slot) {
      return Bad(index, "shares hot slot " + std::to_string(s.hot_slot));
    }
  }
  return absl::OkStatus();
}

absl::Status KvPlan::CheckEntries(const Batch& batch, const BatchSequence& s) const {
  const int index = static_cast<int>(&s - batch.sequences.data());
  if (!EntriesFit(batch.pinned_entries, s.pinned_begin, BlocksFor(s.num_pinned_tokens),
                  limits_.num_pinned_pages)) {
    return Bad(index, "pinned entries out of range");
  }
  if (!s.append) return absl::OkStatus();
  if (!EntriesFit(batch.stored_entries, s.stored_begin, s.num_stored, limits_.num_stored_pages)) {
    return Bad(index, "stored entries out of range");
  }
  const int last_page = (s.first_position + s.num_rows - 1 - s.num_pinned_tokens) / kPageTokens;
  if (last_page >= s.num_stored) {
    return Bad(index, "page " + std::to_string(last_page) + " of " + std::to_string(s.num_stored) +
                          " opened pages");
  }
  return absl::OkStatus();
}

void KvPlan::AddAppending(const BatchSequence& s, int index, int* next_scratch) {
  const int first = s.first_position - s.num_pinned_tokens;
  const int end = first + s.num_rows;
  const bool one_page = first / kPageTokens == (end - 1) / kPageTokens;
  for (int at = first; at < end;) {
    const int page = at / kPageTokens;
    const int page_end = std::min(end, (page + 1) * kPageTokens);
    const bool open_after = page_end % kPageTokens != 0;
    touched_.push_back({.sequence = index,
                        .page = page,
                        .first_row = s.first_row + at - first,
                        .first_lane = at % kPageTokens,
                        .num_tokens = page_end - at,
                        .scratch = one_page ? -1 : (*next_scratch)++,
                        .copy_in = !one_page && at % kPageTokens != 0,
                        .copy_back = !one_page && open_after});
    const RowTile tile = {.sequence = index,
                          .touched = static_cast<int>(touched_.size()) - 1,
                          .first_row = s.first_row + at - first,
                          .num_stored_items = CeilDiv(page, kAttnItemPages)};
    AddTiles(s, tile, page_end - at);
    at = page_end;
  }
}

void KvPlan::AddTiles(const BatchSequence& s, RowTile tile, int num_tokens) {
  constexpr int kItemTokens = kAttnItemPages * kPageTokens;
  const int num_pairs = num_tokens * limits_.group;
  for (int pair = 0; pair < num_pairs; pair += kAttnMaxRows) {
    tile.first_pair = pair;
    tile.num_rows = std::min(kAttnMaxRows, num_pairs - pair);
    const int last_token = (pair + tile.num_rows - 1) / limits_.group;
    const int pinned = s.append
                           ? s.num_pinned_tokens
                           : s.first_position + (tile.first_row - s.first_row) + last_token + 1;
    tile.num_pinned_items = CeilDiv(pinned, kItemTokens);
    max_items_ = std::max(max_items_, tile.num_items());
    tiles_.push_back(tile);
  }
}

absl::Status KvPlan::AddPromotion(const Batch& batch, const Promotion& promotion) {
  const auto found = std::find_if(touched_.begin(), touched_.end(), [&](const TouchedPage& t) {
    return t.sequence == promotion.sequence && t.page == promotion.page;
  });
  if (promotion.sequence < 0 || static_cast<size_t>(promotion.sequence) >= batch.sequences.size() ||
      found == touched_.end()) {
    return Bad(promotion.sequence,
               "promotion of page " + std::to_string(promotion.page) + ", which gets no token");
  }
  const int filled = found->first_lane + found->num_tokens;
  const int lowest = limits_.partial_promotions ? 1 : kPageTokens;
  if (promotion.num_valid < lowest || promotion.num_valid > filled) {
    return Bad(promotion.sequence, "promotion of " + std::to_string(promotion.num_valid) + " of " +
                                       std::to_string(filled) + " tokens");
  }
  if (found->promote_valid != 0) {
    return Bad(promotion.sequence, "page " + std::to_string(promotion.page) + " promoted twice");
  }
  found->promote_valid = promotion.num_valid;
  return absl::OkStatus();
}

}  // namespace intactkv
