// Owns one reference to one KV block of one BlockPool; gives it back when destroyed.
#pragma once

#include <utility>
#include <vector>

#include "engine/base/ids.h"

namespace intactkv {

class BlockPool;

// Move-only; a moved-from reference owns nothing and may only be assigned or destroyed. Must not
// outlive its pool. Engine thread only.
class BlockRef {
 public:
  BlockRef(BlockRef&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}
  BlockRef& operator=(BlockRef&& other) noexcept {
    BlockRef taken(std::move(other));  // our old reference is released when `taken` dies
    std::swap(pool_, taken.pool_);
    std::swap(id_, taken.id_);
    return *this;
  }
  ~BlockRef();

  // One more owner of the same block. Not a copy constructor: each extra owner shows in review.
  [[nodiscard]] BlockRef Share() const;
  BlockId id() const { return id_; }

 private:
  friend class BlockPool;  // the only maker
  BlockRef(BlockPool* pool, BlockId id) : pool_(pool), id_(id) {}

  BlockPool* pool_;
  BlockId id_;
};

// The blocks of one sequence (or pin) in position order. Append-only while its sequence runs.
using BlockTable = std::vector<BlockRef>;

// Releases all blocks, the last one first: freed blocks enter the free list tail of the sequence
// first. O(size).
inline void ReleaseTailFirst(BlockTable& table) {
  while (!table.empty()) table.pop_back();
}

}  // namespace intactkv
