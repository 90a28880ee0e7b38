// Appends one sequence's chunk to a StepPlan: rows, page entries, promotions, sampling.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/sched/executor.h"
#include "engine/sched/sequence.h"

namespace intactkv {

// Plans the next `num_rows` uncomputed tokens, 1 <= num_rows <= sequence.num_uncomputed(). The
// blocks of all of them must be in the sequence's table already. Stored entries always carry the
// class kStored: it is the executor that knows which pool that is. Returns how many rows are
// scored.
int32_t AppendChunk(const Sequence& sequence, int32_t num_rows, StepPlan& plan);

// Plans the next `num_rows` unscored rows below c of a sequence that scores_pinned(): they read the
// pin, give logits and append nothing. Returns how many rows are scored: all of them.
int32_t AppendPinnedRows(const Sequence& sequence, int32_t num_rows, StepPlan& plan);

size_t NumLogitsRows(const StepPlan& plan, const PlanSequence& sequence);

}  // namespace intactkv
