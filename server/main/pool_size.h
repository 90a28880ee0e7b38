// How long a context and how large a pool of stored KV pages become when nobody says: arithmetic
// alone.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace intactkv {

// A longer context is served on request (--max-model-len).
inline constexpr int32_t kDefaultMaxModelLen = 32'768;

struct PoolQuestion {
  int32_t trained_context = 0;  // the model's
  int32_t max_model_len = 0;    // --max-model-len; 0: choose
  int64_t pool_bytes = 0;       // --kv-pool-bytes; 0: choose
  int32_t max_running = 1;
  int64_t page_bytes = 1;
  int64_t available_bytes = 0;  // what the machine has left; 0: unknown
};

struct PoolAnswer {
  int32_t max_model_len = 0;
  int64_t num_pages = 0;
  std::string length_reason, pool_reason;  // for the start-up lines
};

// The chosen pool holds every running sequence at full length, if that is no more than an eighth of
// what is available and 512 MiB; in any case one of them. If one would take more than half of what
// is available, a chosen context becomes shorter. Errors, each naming the flag: kInvalidArgument
// (longer than the model was trained for, a pool below one page), kResourceExhausted (one sequence
// of the asked length does not fit what is available).
absl::StatusOr<PoolAnswer> ChoosePool(const PoolQuestion& question);

}  // namespace intactkv
