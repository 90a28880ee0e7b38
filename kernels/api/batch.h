// What kernels see of one step: flat arrays, no requests, no blocks. Built by engine/exec from a
// StepPlan.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/page_entry.h"

namespace intactkv {

// A sequence's part of the step. Its rows are consecutive in the batch and consecutive in position.
//
// Absolute position p of a row: p < c lies in pinned page p / 32; otherwise the private position p
// - c lies in private page j = (p - c) / 32, lane (p - c) % 32. An appending row reads: pinned
// positions 0..c-1, stored pages 0..j-1 whole, and its own page j in full precision up to itself
// (decisions.md 3.3). A row with append = 0 has p < c and reads pinned positions 0..p only; it
// changes nothing (prompt logprobs below c).
struct BatchSequence {
  int32_t first_row = 0;
  int32_t num_rows = 0;
  int32_t first_position = 0;     // absolute position of first_row
  int32_t num_pinned_tokens = 0;  // c
  int32_t pinned_begin = 0;       // index into Batch::pinned_entries; BlocksFor(c) entries
  int32_t stored_begin = 0;       // index into Batch::stored_entries
  int32_t num_stored = 0;  // private pages opened so far, the open one included: entry j is where
                           // page j is (to be) stored
  int32_t hot_slot = -1;   // holds the open page before and after the step
  bool append = true;      // the same for all rows of this sequence in this step
};

// Quantize private page `page` of `sequence` into its stored entry, in every layer, after this
// step's K and V are written and before attention reads. num_valid == kPageTokens, except at the
// end of a prefix build (3.5), whose stored format is never integer: there the tail is zeroed.
struct Promotion {
  int32_t sequence = 0;
  int32_t page = 0;
  int32_t num_valid = kPageTokens;
};

struct Batch {
  std::vector<int32_t> tokens;       // [num_rows]
  std::vector<int32_t> positions;    // [num_rows], absolute
  std::vector<int32_t> logits_rows;  // ascending row indices whose logits are wanted
  std::vector<BatchSequence> sequences;
  std::vector<PageEntry> pinned_entries;
  std::vector<PageEntry> stored_entries;
  std::vector<Promotion> promotions;
  int num_rows() const { return static_cast<int>(tokens.size()); }
};

}  // namespace intactkv
