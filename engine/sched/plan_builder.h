// Appends one sequence's chunk to a StepPlan: rows, page entries, promotions, sampling.
#pragma once

#include <cstdint>

#include "engine/sched/executor.h"
#include "engine/sched/sequence.h"

namespace intactkv {

// Plans the next `num_rows` uncomputed tokens, 1 <= num_rows <= sequence.num_uncomputed(). The
// blocks of all of them must be in the sequence's table already. Stored entries always carry the
// class kStored: it is the executor that knows which pool that is.
void AppendChunk(const Sequence& sequence, int32_t num_rows, StepPlan& plan);

}  // namespace intactkv
