// Plan of one step for KvAttention: which pages the step touches, which rows go through a kernel
// together, and which items each of them reads.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/backend.h"
#include "kernels/api/batch.h"

namespace intactkv {

// A private page that receives tokens in this step.
struct TouchedPage {
  int sequence = 0;    // index into Batch::sequences
  int page = 0;        // private page number
  int first_row = 0;   // batch row of the first token written
  int first_lane = 0;  // its place in the page
  int num_tokens = 0;  // written in this step
  int scratch = -1;    // scratch page; -1: the step stays inside one page and works in the hot slot
  bool copy_in = false;    // earlier tokens come from the hot slot
  bool copy_back = false;  // the page stays open: it returns to the hot slot
  int promote_valid = 0;   // tokens of the promotion of this page; 0: none
};

// Query rows that one kernel call computes: (token, head) pairs of one sequence, numbered token by
// token from first_row on. Rows of one tile read the same stored pages.
struct RowTile {
  int sequence = 0;
  int touched = -1;   // own page, index into KvPlan::touched; -1: rows that do not append
  int first_row = 0;  // batch row of pair 0
  int first_pair = 0;
  int num_rows = 0;  // 1..kAttnMaxRows
  int num_pinned_items = 0;
  int num_stored_items = 0;
  int num_items() const { return num_pinned_items + num_stored_items + (touched >= 0 ? 1 : 0); }
};

struct KvPlanLimits {
  int max_rows = 0;
  int max_sequences = 0;
  int max_context = 0;
  int group = 1;  // query heads per KV head
  int num_pinned_pages = 0;
  int num_stored_pages = 0;
  int num_hot_pages = 0;
  bool partial_promotions = false;  // stored pages are float
};

// Upper bounds, for memory that is taken once.
int MaxScratchPages(const KvPlanLimits& limits);
int MaxItemsPerRow(const KvPlanLimits& limits);

// Reused from step to step: allocates in its constructor only. Thread-compatible.
class KvPlan {
 public:
  explicit KvPlan(const KvPlanLimits& limits);

  // kInvalidArgument, with the offending value, if the batch does not fit the limits or contradicts
  // itself; the plan is then empty.
  absl::Status Build(const Batch& batch);

  const std::vector<TouchedPage>& touched() const { return touched_; }
  const std::vector<RowTile>& tiles() const { return tiles_; }
  int max_items() const { return max_items_; }  // of any tile

 private:
  absl::Status CheckSequence(const Batch& batch, int index) const;
  absl::Status CheckEntries(const Batch& batch, const BatchSequence& sequence) const;
  absl::Status AddPromotion(const Batch& batch, const Promotion& promotion);
  void AddAppending(const BatchSequence& sequence, int index, int* next_scratch);
  void AddTiles(const BatchSequence& sequence, RowTile tile, int num_tokens);

  const KvPlanLimits limits_;
  std::vector<TouchedPage> touched_;
  std::vector<RowTile> tiles_;
  int max_items_ = 0;
};

}  // namespace intactkv
