#include "kernels/cpu/check_batch.h"

#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {

absl::Status CheckBatch(const Batch& batch, const ContextOptions& options) {
  const int rows = batch.num_rows();
  if (rows < 1 || rows > options.max_rows || batch.positions.size() != batch.tokens.size()) {
    return InvalidArgument("batch of " + std::to_string(rows) + " rows and " +
                           std::to_string(batch.positions.size()) + " positions, at most " +
                           std::to_string(options.max_rows));
  }
  if (batch.sequences.size() > static_cast<size_t>(options.max_sequences)) {
    return InvalidArgument("batch of " + std::to_string(batch.sequences.size()) +
                           " sequences, at most " + std::to_string(options.max_sequences));
  }
  for (size_t i = 0; i < batch.tokens.size(); ++i) {
    if (batch.tokens[i] < 0 || batch.tokens[i] >= options.shape.vocab || batch.positions[i] < 0 ||
        batch.positions[i] >= options.max_context) {
      return InvalidArgument("batch row " + std::to_string(i) + ": token " +
                             std::to_string(batch.tokens[i]) + " at position " +
                             std::to_string(batch.positions[i]));
    }
  }
  if (batch.logits_rows.size() > static_cast<size_t>(options.max_logits_rows)) {
    return InvalidArgument("batch with " + std::to_string(batch.logits_rows.size()) +
                           " logits rows, at most " + std::to_string(options.max_logits_rows));
  }
  int32_t last = -1;
  for (const int32_t row : batch.logits_rows) {
    if (row <= last || row >= rows) {
      return InvalidArgument("batch logits row " + std::to_string(row) + " out of order or range");
    }
    last = row;
  }
  return absl::OkStatus();
}

}  // namespace intactkv
