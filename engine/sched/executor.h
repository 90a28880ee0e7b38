// The seam between scheduling and computing: one step in, one step's tokens out. Plain arrays, no
// page pointers. Implemented by TransformerExecutor (engine/exec: model + Backend) and HashExecutor
// (tests/support).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/base/page_entry.h"
#include "engine/base/sampling.h"

namespace intactkv {

struct PlanRow {
  TokenId token;
  int32_t position = 0;  // absolute
  bool wants_logits = false;
};

// Rows of a sequence are consecutive in `StepPlan::rows` and consecutive in position. See
// kernels/api/batch.h for what a row reads.
struct PlanSequence {
  SequenceId id{0};
  int32_t first_row = 0, num_rows = 0;
  int32_t num_pinned_tokens = 0;  // c
  int32_t pinned_begin = 0;       // BlocksFor(c) entries in StepPlan::pinned_entries
  int32_t stored_begin = 0,
          num_stored = 0;  // all private blocks opened so far, this step's included
  int32_t hot_slot = -1;
  bool append = true;  // false: logits only, rows below c (prompt logprobs)
};

struct PlanPromotion {
  int32_t sequence = 0;             // index into StepPlan::sequences
  int32_t block = 0;                // private block index; filled by this step
  int32_t num_valid = kPageTokens;  // < kPageTokens only for the last block of a prefix build
};

struct StepPlan {
  std::vector<PlanRow> rows;
  std::vector<PlanSequence> sequences;
  std::vector<PageEntry> pinned_entries, stored_entries;
  std::vector<PlanPromotion> promotions;
  std::vector<SampleRow> samples;  // one per row that wants logits, in row order
  bool return_logits = false;      // tests and evaluation
  bool empty() const { return rows.empty(); }
};

struct SequenceOutcome {
  bool non_finite = false;
  int64_t num_clamped = 0;
};

struct StepResult {
  std::vector<SampledToken> tokens;        // one per row that wants logits, in row order
  std::vector<SequenceOutcome> sequences;  // one per StepPlan::sequences
  std::vector<float> logits;               // [logits rows, vocab] if return_logits
};

// Engine thread only.
class Executor {
 public:
  virtual ~Executor() = default;
  // An error fails the whole step and is not expected: a broken plan (kInvalidArgument) or a lost
  // device (kInternal).
  virtual absl::StatusOr<StepResult> Execute(const StepPlan& plan) = 0;
  // Bytes of weights that live as long as this executor, for the gauge.
  virtual int64_t weight_bytes() const = 0;
  virtual int vocab_size() const = 0;
  // SHA-256 (hex) over the canonical bytes of these pages, in order. For PrefixInfo::checksum and
  // the lossless tests.
  virtual std::string PageChecksum(const std::vector<PageEntry>& entries) const = 0;
};

}  // namespace intactkv
