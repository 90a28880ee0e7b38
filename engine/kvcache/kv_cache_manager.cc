#include "engine/kvcache/kv_cache_manager.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"

namespace intactkv {

KvCacheManager::KvCacheManager(const Options& options, BlockPool& stored, BlockPool& hot)
    : stored_(stored), hot_(hot) {
  if (options.prefix_cache) cache_.emplace(stored_, options.name_bytes);
}

void KvCacheManager::SetStep(int64_t step) {
  if (cache_) cache_->SetStep(step);
}

bool KvCacheManager::CanEverFit(int64_t num_private_tokens) const {
  return BlocksFor(num_private_tokens) <= stored_.num_blocks() && hot_.num_blocks() > 0;
}

int32_t KvCacheManager::num_available() const { return stored_.num_free() + num_cached(); }

std::optional<int32_t> KvCacheManager::TryAdmit(SequenceKv& kv, const Admission& admission) {
  CHECK(kv.stored.empty() && !kv.hot) << "admitted twice";
  const auto n = static_cast<int32_t>(admission.private_tokens.size());
  CHECK_GE(n, 1);
  if (hot_.num_free() == 0) return std::nullopt;
  const int32_t wanted = std::max<int32_t>(admission.reserve_blocks, BlocksFor(n));
  const auto max_hits =
      cache_ && admission.may_hit ? static_cast<size_t>((n - 1) / kPageTokens) : 0;
  // Not even if every block that may be hit were hit: the head of a queue that waits for room asks
  // in every step, and its lookup would be for nothing (and count as a use of what it finds).
  if (wanted - static_cast<int32_t>(max_hits) + admission.pending_blocks > num_available()) {
    return std::nullopt;
  }
  BlockTable hits;
  if (max_hits > 0) {
    ExtendHashes(kv, admission.private_tokens, max_hits);
    hits =
        cache_->Lookup(kv.anchor, std::span(kv.hashes).first(max_hits), admission.private_tokens);
  }
  // From here on the hits are not evictable: what is available is available to new blocks.
  const auto num_hits = static_cast<int32_t>(hits.size());
  if (wanted - num_hits + admission.pending_blocks > num_available()) {
    ReleaseTailFirst(hits);
    return std::nullopt;
  }
  stored_.Record({.event = LedgerEvent::kAdmit, .count = num_hits, .subject = kv.owner.value});
  for (const BlockRef& hit : hits) {
    stored_.Record(
        {.event = LedgerEvent::kHit, .block = hit.id().value, .subject = kv.owner.value});
  }
  kv.stored = std::move(hits);
  kv.hot = hot_.TryAllocate();
  kv.num_published = num_hits;
  if (admission.reserve_blocks > 0) {
    kv.reserved = true;
    CHECK(TryGrow(kv, admission.reserve_blocks));
  }
  return num_hits;
}

bool KvCacheManager::TryGrow(SequenceKv& kv, int32_t num_blocks) {
  const int32_t n = num_blocks - static_cast<int32_t>(kv.stored.size());
  if (n <= 0) return true;
  if (n > num_available()) return false;
  while (stored_.num_free() < n) CHECK(cache_->EvictOne());
  CHECK(stored_.TryExtend(kv.stored, n));
  return true;
}

void KvCacheManager::Publish(SequenceKv& kv, std::span<const TokenId> private_tokens,
                             int32_t num_computed) {
  if (!cache_) return;
  const int32_t num_full = num_computed / kPageTokens;
  if (num_full <= kv.num_published) return;
  CHECK_LE(static_cast<size_t>(num_full), kv.stored.size());
  ExtendHashes(kv, private_tokens, static_cast<size_t>(num_full));
  for (auto i = static_cast<size_t>(kv.num_published); i < static_cast<size_t>(num_full); ++i) {
    cache_->Publish({.parent = i == 0 ? kv.anchor : kv.hashes[i - 1],
                     .hash = kv.hashes[i],
                     .depth = static_cast<int32_t>(i),
                     .tokens = private_tokens.subspan(i * kPageTokens, kPageTokens),
                     .sequence = kv.owner},
                    kv.stored[i]);
  }
  kv.num_published = num_full;
}

void KvCacheManager::Release(SequenceKv& kv) {
  ReleaseTailFirst(kv.stored);
  kv.hot.reset();
  kv.num_published = 0;
  kv.reserved = false;
}

void KvCacheManager::ClearPrefixCache() {
  if (cache_) cache_->Clear();
}

void KvCacheManager::ExtendHashes(SequenceKv& kv, std::span<const TokenId> private_tokens,
                                  size_t num_blocks) {
  CHECK_LE(num_blocks * kPageTokens, private_tokens.size());
  while (kv.hashes.size() < num_blocks) {
    const size_t i = kv.hashes.size();
    kv.hashes.push_back(HashBlock(i == 0 ? kv.anchor : kv.hashes[i - 1],
                                  private_tokens.subspan(i * kPageTokens, kPageTokens)));
  }
}

}  // namespace intactkv
