// Gives sequences their stored blocks and hot slot: admission, growth, prefix-cache hits,
// eviction, publication.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "engine/base/ids.h"
#include "engine/kvcache/block_hash.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/prefix_cache.h"
#include "engine/kvcache/prefix_index.h"

namespace intactkv {

// The KV of one sequence. `pinned`, `anchor` and `owner` are set when the request enters the
// engine; the rest belongs to KvCacheManager.
struct SequenceKv {
  PinnedMatch pinned;
  BlockHash anchor{};
  SequenceId owner{0};  // for the ledger

  BlockTable stored;              // private blocks; only the first ones are opened, see `reserved`
  std::optional<BlockRef> hot;    // held from admission to release
  int32_t num_published = 0;      // leading blocks that are hits or were offered to the cache
  bool reserved = false;          // `stored` already covers the worst case
  std::vector<BlockHash> hashes;  // names of the leading full private blocks, made when needed
};

// Shortage is ordinary: bool and optional, and nothing changed. Private tokens are those from
// position c on. Engine thread only.
class KvCacheManager {
 public:
  struct Options {
    bool prefix_cache = true;
    size_t name_bytes = std::tuple_size_v<BlockHash>;  // see PrefixCache
  };
  // The pools must outlive the manager and every SequenceKv. A prefix build passes the pinned pool
  // as `stored`.
  KvCacheManager(const Options& options, BlockPool& stored, BlockPool& hot);

  // Steps never decrease; eviction orders by them.
  void SetStep(int64_t step);

  // Whether a sequence that writes `num_private_tokens` fits when it is alone.
  bool CanEverFit(int64_t num_private_tokens) const;

  struct Admission {
    std::span<const TokenId> private_tokens;  // all known ones, >= 1
    int32_t reserve_blocks = 0;  // > 0: take so many blocks in all at once (the worst case)
    int32_t pending_blocks = 0;  // blocks that running sequences still need for known tokens
    bool may_hit = true;         // false: all tokens must be computed
  };
  // Takes a hot slot and the longest prefix-cache hit, if all known tokens fit beside what is
  // pending. A hit covers at most floor((n - 1) / 32) blocks of n private tokens: the page of the
  // last token is always recomputed whole. Returns the number of blocks hit, or nullopt.
  [[nodiscard]] std::optional<int32_t> TryAdmit(SequenceKv& kv, const Admission& admission);

  // Makes `kv.stored` at least `num_blocks` long, evicting cached blocks if needed. All or nothing.
  [[nodiscard]] bool TryGrow(SequenceKv& kv, int32_t num_blocks);

  // Offers the full blocks among the first `num_computed` private tokens to the prefix cache. Call
  // it after the step that filled them and after its finite check.
  void Publish(SequenceKv& kv, std::span<const TokenId> private_tokens, int32_t num_computed);

  // Gives back stored blocks, tail first, and the hot slot; the pin stays.
  void Release(SequenceKv& kv);

  void ClearPrefixCache();

  // Free blocks and those that eviction would free. O(1).
  int32_t num_available() const;
  int32_t num_cached() const { return cache_ ? cache_->num_evictable() : 0; }
  int64_t num_evicted() const { return cache_ ? cache_->num_evicted() : 0; }
  const PrefixCache* prefix_cache() const { return cache_ ? &*cache_ : nullptr; }
  const BlockPool& stored_pool() const { return stored_; }
  const BlockPool& hot_pool() const { return hot_; }

 private:
  void ExtendHashes(SequenceKv& kv, std::span<const TokenId> private_tokens, size_t num_blocks);

  BlockPool& stored_;
  BlockPool& hot_;
  std::optional<PrefixCache> cache_;
};

}  // namespace intactkv
