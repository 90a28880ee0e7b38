// Whether a batch keeps within what a context was made for.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/backend.h"
#include "kernels/api/batch.h"

namespace intactkv {

// kInvalidArgument, naming the row: too many rows, sequences or logits rows, a token or position
// out of range, logits rows that do not ascend. O(rows).
absl::Status CheckBatch(const Batch& batch, const ContextOptions& options);

}  // namespace intactkv
