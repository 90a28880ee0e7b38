// Full private blocks that outlive their sequence, found again by the hash chain of their tokens.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/page_entry.h"
#include "engine/kvcache/block_hash.h"
#include "engine/kvcache/block_pool.h"

namespace intactkv {

// Holds one reference to each cached block, so a block that a sequence also uses has two owners
// and is not evictable. Eviction order: least recently used step, then the block deeper in its
// chain, then the older entry; never clock, pointer or hash order. Registers itself as the pool's
// listener; the pool must outlive it. Engine thread only.
class PrefixCache : public BlockOwnerListener {
 public:
  // Only the first `name_bytes` bytes of a hash name a block in the index: all 32 but in tests that
  // want names to collide. A hit is proven by parent and tokens, whatever the name.
  explicit PrefixCache(BlockPool& pool, size_t name_bytes = std::tuple_size_v<BlockHash>);
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;
  ~PrefixCache() override;

  // Uses and releases from now on count as made in this step. Steps never decrease.
  void SetStep(int64_t step);

  // The longest run of cached blocks for a chain: hashes[i] names the block of tokens
  // [32 i, 32 i + 32). Compares tokens and parent on each hit; a difference ends the run. The
  // result owns its blocks: nothing can take them between lookup and use. O(hits log size).
  [[nodiscard]] BlockTable Lookup(const BlockHash& anchor, std::span<const BlockHash> hashes,
                                  std::span<const TokenId> tokens);

  struct Published {
    BlockHash parent;  // of the chain's previous block, or the anchor
    BlockHash hash;
    int32_t depth = 0;                // index of the block in its chain
    std::span<const TokenId> tokens;  // [kPageTokens]
    SequenceId sequence{0};           // whose block it is, for the ledger
  };
  // Offers a full block whose step is over and whose values are finite. If the name is taken, the
  // older block stays and nothing happens. O(log size).
  void Publish(const Published& block, const BlockRef& ref);

  // Removes the entry that is first in eviction order and has no other owner: first from the
  // index, then its reference. False if there is none. O(log size).
  bool EvictOne();
  // Drops every entry (weights change). Blocks in use stay with their sequences.
  void Clear();

  int num_entries() const { return static_cast<int>(entries_.size()); }
  int num_evictable() const { return static_cast<int>(evictable_.size()); }
  int64_t num_evicted() const { return num_evicted_; }  // by EvictOne, ever
  // Lookups that found the name and other contents behind it, ever.
  int64_t num_name_conflicts() const { return num_name_conflicts_; }
  // What EvictOne() would evict.
  std::optional<BlockId> next_victim() const;
  // Ids of all cached blocks in no particular meaning but a fixed order, for audits.
  std::vector<BlockId> Blocks() const;

  void OnShared(BlockId id) override;
  void OnSoleOwner(BlockId id) override;

 private:
  struct EvictionKey {
    int64_t last_used;
    int32_t negative_depth;
    uint64_t serial;
    friend auto operator<=>(const EvictionKey&, const EvictionKey&) = default;
  };
  struct Entry {
    BlockRef ref;
    BlockHash parent;
    std::array<TokenId, kPageTokens> tokens;
    EvictionKey key;
  };
  using Entries = std::map<BlockHash, Entry>;
  BlockHash NameOf(const BlockHash& hash) const;
  Entries::iterator& EntryOf(BlockId id) { return by_block_[static_cast<size_t>(id.value)]; }

  BlockPool& pool_;
  const size_t name_bytes_;
  Entries entries_;                                     // by name
  std::vector<Entries::iterator> by_block_;             // [num_blocks]; end() = not cached
  std::map<EvictionKey, Entries::iterator> evictable_;  // entries whose only owner is the cache
  int64_t step_ = 0;
  uint64_t next_serial_ = 0;
  int64_t num_evicted_ = 0;
  int64_t num_name_conflicts_ = 0;
};

}  // namespace intactkv
