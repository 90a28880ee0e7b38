// Computes the pages of a prefix: an ordinary sequence with c = 0, run by the same Scheduler code
// with the full-precision weights.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/kvcache/block_pool.h"
#include "engine/sched/executor.h"

namespace intactkv {

// Runs `tokens` (>= 1) through `full_precision` in chunks of `chunk_tokens` and returns the
// BlocksFor(tokens.size()) blocks of `pinned` that now hold their KV, the last one maybe in part.
// Always builds anew: two prefixes with a common start get two copies with equal bytes.
// kResourceExhausted: too few pinned blocks; kInternal: a non-finite value; else the executor's own
// error. Nothing is held after an error. Engine thread only.
absl::StatusOr<BlockTable> BuildPrefix(const std::vector<TokenId>& tokens, Executor& full_precision,
                                       BlockPool& pinned, int32_t chunk_tokens);

}  // namespace intactkv
