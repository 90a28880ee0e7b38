#include "engine/kvcache/block_pool.h"

#include <string>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace intactkv {

BlockRef::~BlockRef() {
  if (pool_ != nullptr) pool_->Release(id_);
}

BlockRef BlockRef::Share() const {
  CHECK(pool_ != nullptr) << "shared a moved-from BlockRef";
  pool_->AddRef(id_);
  return BlockRef(pool_, id_);
}

BlockPool::BlockPool(PageClass page_class, int num_blocks, int64_t block_bytes)
    : page_class_(page_class), block_bytes_(block_bytes), num_free_(num_blocks) {
  CHECK_GE(num_blocks, 0);
  CHECK_LT(num_blocks, 1 << 28) << "a PageEntry has 28 bits of slot";
  ref_counts_.assign(static_cast<size_t>(num_blocks), 0);
  for (int32_t i = 0; i < num_blocks; ++i) free_ring_.emplace_back(i);
}

BlockPool::~BlockPool() {
  CHECK_EQ(num_free_, num_blocks())
      << "class " << static_cast<int>(page_class_) << ": a BlockRef outlives its pool";
}

std::optional<BlockRef> BlockPool::TryAllocate() {
  if (num_free_ == 0) return std::nullopt;
  const BlockId id = free_ring_[free_head_];
  free_head_ = (free_head_ + 1) % free_ring_.size();
  --num_free_;
  CHECK_EQ(ref_counts_[Index(id)], 0) << "block " << id.value << " was on the free list";
  ref_counts_[Index(id)] = 1;
  Record({.event = LedgerEvent::kAllocate, .block = id.value, .count = 1});
  return BlockRef(this, id);
}

bool BlockPool::TryExtend(BlockTable& table, int n) {
  CHECK_GE(n, 0);
  if (num_free_ < n) return false;
  for (int i = 0; i < n; ++i) table.push_back(*TryAllocate());
  return true;
}

void BlockPool::AddRef(BlockId id) {
  int32_t& count = ref_counts_[Index(id)];
  CHECK_GT(count, 0) << "block " << id.value << " is free";
  ++count;
  Record({.event = LedgerEvent::kShare, .block = id.value, .count = count});
  if (count == 2 && listener_ != nullptr) listener_->OnShared(id);
}

void BlockPool::Release(BlockId id) {
  int32_t& count = ref_counts_[Index(id)];
  CHECK_GT(count, 0) << "block " << id.value << " was released twice";
  --count;
  Record({.event = count > 0 ? LedgerEvent::kRelease : LedgerEvent::kFree,
          .block = id.value,
          .count = count});
  if (count == 1 && listener_ != nullptr) listener_->OnSoleOwner(id);
  if (count > 0) return;
  const size_t tail = (free_head_ + static_cast<size_t>(num_free_)) % free_ring_.size();
  free_ring_[tail] = id;
  ++num_free_;
}

absl::Status BlockPool::CheckInvariants() const {
  std::vector<int> on_list(ref_counts_.size(), 0);
  for (int i = 0; i < num_free_; ++i) {
    const size_t at = (free_head_ + static_cast<size_t>(i)) % free_ring_.size();
    ++on_list[Index(free_ring_[at])];
  }
  for (size_t i = 0; i < ref_counts_.size(); ++i) {
    const bool free_once = ref_counts_[i] == 0 && on_list[i] == 1;
    const bool held = ref_counts_[i] > 0 && on_list[i] == 0;
    if (free_once || held) continue;
    return Internal("block " + std::to_string(i) + " has " + std::to_string(ref_counts_[i]) +
                    " owners and is on the free list " + std::to_string(on_list[i]) + " times");
  }
  return absl::OkStatus();
}

}  // namespace intactkv
