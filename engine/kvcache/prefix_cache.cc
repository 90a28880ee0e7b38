#include "engine/kvcache/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace intactkv {

PrefixCache::PrefixCache(BlockPool& pool, size_t name_bytes)
    : pool_(pool),
      name_bytes_(name_bytes),
      by_block_(static_cast<size_t>(pool.num_blocks()), entries_.end()) {
  CHECK_LE(name_bytes_, std::tuple_size_v<BlockHash>);
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

BlockHash PrefixCache::NameOf(const BlockHash& hash) const {
  BlockHash name{};
  std::ranges::copy(std::span(hash).first(name_bytes_), name.begin());
  return name;
}

BlockTable PrefixCache::Lookup(const BlockHash& anchor, std::span<const BlockHash> hashes,
                               std::span<const TokenId> tokens) {
  CHECK_GE(tokens.size(), hashes.size() * kPageTokens);
  BlockTable hits;
  for (size_t i = 0; i < hashes.size(); ++i) {
    const auto it = entries_.find(NameOf(hashes[i]));
    if (it == entries_.end()) break;
    Entry& entry = it->second;
    const auto wanted = tokens.subspan(i * kPageTokens, kPageTokens);
    const BlockHash& parent = i == 0 ? anchor : hashes[i - 1];
    if (entry.parent != parent || !std::ranges::equal(entry.tokens, wanted)) {
      ++num_name_conflicts_;
      break;
    }
    hits.push_back(entry.ref.Share());  // now shared, hence not in evictable_: the key may change
    entry.key.last_used = step_;
  }
  return hits;
}

void PrefixCache::Publish(const Published& block, const BlockRef& ref) {
  CHECK_EQ(block.tokens.size(), static_cast<size_t>(kPageTokens));
  CHECK(EntryOf(ref.id()) == entries_.end()) << "block " << ref.id().value << " already has a name";
  const BlockHash name = NameOf(block.hash);
  if (entries_.contains(name)) return;
  pool_.Record(
      {.event = LedgerEvent::kPublish, .block = ref.id().value, .subject = block.sequence.value});
  Entry entry{.ref = ref.Share(),
              .parent = block.parent,
              .tokens = {},
              .key = {step_, -block.depth, next_serial_++}};
  std::ranges::copy(block.tokens, entry.tokens.begin());
  EntryOf(ref.id()) = entries_.emplace(name, std::move(entry)).first;
}

bool PrefixCache::EvictOne() {
  if (evictable_.empty()) return false;
  const auto it = evictable_.begin()->second;
  evictable_.erase(evictable_.begin());
  const BlockId id = it->second.ref.id();
  pool_.Record({.event = LedgerEvent::kEvict, .block = id.value});
  EntryOf(id) = entries_.end();
  entries_.erase(it);
  ++num_evicted_;
  return true;
}

void PrefixCache::Clear() {
  evictable_.clear();
  std::ranges::fill(by_block_, entries_.end());
  entries_.clear();
}

std::optional<BlockId> PrefixCache::next_victim() const {
  if (evictable_.empty()) return std::nullopt;
  return evictable_.begin()->second->second.ref.id();
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
