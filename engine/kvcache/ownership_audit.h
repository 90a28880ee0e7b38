// Recomputes who owns each block of one pool from the owners' own tables, and compares with the
// pool's counts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/kvcache/block_pool.h"

namespace intactkv {

// Who claims a block, strongest claim first: a block is counted once, under its strongest claim.
enum class BlockOwner : uint8_t { kPin = 0, kSequence = 1, kCache = 2 };
inline constexpr int kNumBlockOwners = 3;

struct BlockCensus {
  int32_t total = 0, free = 0, pinned = 0, owned = 0, cached = 0;
  // total - (free + pinned + owned + cached): blocks that are held, but by nobody's table. There is
  // no fenced term: a step is over before anything is released.
  int32_t unaccounted = 0;
  std::vector<std::string> problems;  // one sentence each; empty when all is well
};

// One use: construct, Claim() once per reference held, Finish(). Engine thread only.
class OwnershipAudit {
 public:
  explicit OwnershipAudit(const BlockPool& pool);
  void Claim(BlockOwner owner, BlockId id);
  void Claim(BlockOwner owner, const BlockTable& table);
  // O(num_blocks).
  [[nodiscard]] BlockCensus Finish() const;

 private:
  const BlockPool& pool_;
  std::vector<std::array<int32_t, kNumBlockOwners>> claims_;  // [num_blocks]
  std::vector<std::string> problems_;
};

}  // namespace intactkv
