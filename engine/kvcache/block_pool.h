// A fixed number of KV blocks of one class, each free or referenced by counted owners.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/page_entry.h"
#include "engine/kvcache/block_ref.h"
#include "engine/kvcache/kv_ledger.h"

namespace intactkv {

// Told when a block gets a second owner and when it is back to its only one. The prefix cache uses
// this to know what it may evict, however a reference was given up.
class BlockOwnerListener {
 public:
  virtual ~BlockOwnerListener() = default;
  virtual void OnShared(BlockId id) = 0;     // 1 -> 2 owners
  virtual void OnSoleOwner(BlockId id) = 0;  // 2 -> 1 owners
};

// Made once, before anything runs; allocates nothing afterwards. The free list is a queue: blocks
// are reused in the order in which they were freed. Also serves hot slots: a hot slot is a block
// of a pool of class kHot with one owner. Engine thread only.
class BlockPool {
 public:
  // num_blocks >= 0; block_bytes >= 0: bytes of one block over all layers, for reports.
  BlockPool(PageClass page_class, int num_blocks, int64_t block_bytes);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();  // CHECK: every reference came back

  // A fresh block with one owner, or nullopt if none is free. Running out is ordinary (the
  // scheduler then preempts), hence no absl::Status. O(1).
  [[nodiscard]] std::optional<BlockRef> TryAllocate();
  // Appends `n` >= 0 fresh blocks to `table`, or changes nothing and returns false if fewer are
  // free. O(n).
  [[nodiscard]] bool TryExtend(BlockTable& table, int n);

  PageClass page_class() const { return page_class_; }
  int num_blocks() const { return static_cast<int>(ref_counts_.size()); }
  int num_free() const { return num_free_; }
  int64_t block_bytes() const { return block_bytes_; }
  int ref_count(BlockId id) const { return ref_counts_[Index(id)]; }

  // At most one; nullptr removes it. `listener` must outlive its registration.
  void SetListener(BlockOwnerListener* listener) { listener_ = listener; }
  // Whoever does something to blocks of this pool records it here. nullptr (the default): nobody
  // keeps records. `ledger` must outlive the pool.
  void SetLedger(KvLedger* ledger) { ledger_ = ledger; }
  // Adds a record about this pool. O(1).
  void Record(LedgerRecord record) const {
    if (ledger_ == nullptr) return;
    record.page_class = page_class_;
    ledger_->Add(record);
  }

  // OK if each block is either referenced or on the free list exactly once; else kInternal, the
  // block named. O(num_blocks): tests call it after every operation, audits between two steps.
  absl::Status CheckInvariants() const;

 private:
  friend class BlockRef;
  static size_t Index(BlockId id) { return static_cast<size_t>(id.value); }
  void AddRef(BlockId id);
  void Release(BlockId id);

  const PageClass page_class_;
  const int64_t block_bytes_;
  std::vector<int32_t> ref_counts_;  // [num_blocks]; 0 = free
  std::vector<BlockId> free_ring_;   // [num_blocks]; num_free_ entries from free_head_ on
  size_t free_head_ = 0;
  int num_free_ = 0;
  BlockOwnerListener* listener_ = nullptr;
  KvLedger* ledger_ = nullptr;
};

}  // namespace intactkv
