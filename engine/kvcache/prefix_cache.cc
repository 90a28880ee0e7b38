#include "engine/kvcache/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace intactkv {

PrefixCache::PrefixCache(BlockPool& pool)
    : pool_(pool), by_block_(static_cast<size_t>(pool.num_blocks()), entries_.end()) {
  pool_.SetListener(this);
}

PrefixCache::~PrefixCache() {
  Clear();
  pool_.SetListener(nullptr);
}

void PrefixCache::SetStep(int64_t step) {
  CHECK_GE(step, step_);
  step_ = step;
}

BlockTable PrefixCache::Lookup(const BlockHash& anchor, std::span<const BlockHash> hashes,
                               std::span<const TokenId> tokens) {
  CHECK_GE(tokens.size(), hashes.size() * kPageTokens);
  BlockTable hits;
  for (size_t i = 0; i < hashes.size(); ++i) {
    const auto it = entries_.find(hashes[i]);
    if (it == entries_.end()) break;
    Entry& entry = it->second;
    const auto wanted = tokens.subspan(i * kPageTokens, kPageTokens);
    const BlockHash& parent = i == 0 ? anchor : hashes[i - 1];
    if (entry.parent != parent || !std::ranges::equal(entry.tokens, wanted)) break;
    hits.push_back(entry.ref.Share());  // now shared, hence not in evictable_: the key may change
    entry.key.last_used = step_;
  }
  return hits;
}

void PrefixCache::Publish(const Published& block, const BlockRef& ref) {
  CHECK_EQ(block.tokens.size(), static_cast<size_t>(kPageTokens));
  CHECK(EntryOf(ref.id()) == entries_.end()) << "block " << ref.id().value << " already has a name";
  if (entries_.contains(block.hash)) return;
  Entry entry{.ref = ref.Share(),
              .parent = block.parent,
              .tokens = {},
              .key = {step_, -block.depth, next_serial_++}};
  std::ranges::copy(block.tokens, entry.tokens.begin());
  EntryOf(ref.id()) = entries_.emplace(block.hash, std::move(entry)).first;
}

bool PrefixCache::EvictOne() {
  if (evictable_.empty()) return false;
  const auto it = evictable_.begin()->second;
  evictable_.erase(evictable_.begin());
  EntryOf(it->second.ref.id()) = entries_.end();
  entries_.erase(it);
  ++num_evicted_;
  return true;
}

void PrefixCache::Clear() {
  evictable_.clear();
  std::ranges::fill(by_block_, entries_.end());
  entries_.clear();
}

std::vector<BlockId> PrefixCache::Blocks() const {
  std::vector<BlockId> ids;
  for (const auto& [hash, entry] : entries_) ids.push_back(entry.ref.id());
  return ids;
}

void PrefixCache::OnShared(BlockId id) {
  const auto it = EntryOf(id);
  if (it != entries_.end()) evictable_.erase(it->second.key);
}

void PrefixCache::OnSoleOwner(BlockId id) {
  const auto it = EntryOf(id);
  if (it == entries_.end()) return;  // some other pair of owners, or an entry that is just leaving
  it->second.key.last_used = step_;
  evictable_.emplace(it->second.key, it);
}

}  // namespace intactkv
