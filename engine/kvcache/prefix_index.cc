#include "engine/kvcache/prefix_index.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"

namespace intactkv {
namespace {

size_t CommonLength(std::span<const TokenId> a, std::span<const TokenId> b) {
  const size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < n && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

void PrefixIndex::Add(PinnedPrefix prefix) {
  CHECK_EQ(static_cast<int>(prefix.blocks.size()),
           BlocksFor(static_cast<int64_t>(prefix.tokens.size())));
  const PrefixId id = prefix.id;
  CHECK(prefixes_.emplace(id, std::move(prefix)).second) << "prefix id " << id.value << " is taken";
}

bool PrefixIndex::Remove(PrefixId id) { return prefixes_.erase(id) > 0; }

PinnedMatch PrefixIndex::Match(std::span<const TokenId> prompt, const std::string& tenant) {
  PinnedPrefix* best = nullptr;
  size_t length = 0;
  for (auto& [id, prefix] : prefixes_) {
    if (!prefix.owner.empty() && prefix.owner != tenant) continue;
    const size_t common = CommonLength(prompt, prefix.tokens);
    if (common <= length) continue;
    best = &prefix;
    length = common;
  }
  if (length > 0 && length == prompt.size()) --length;
  PinnedMatch match;
  if (best == nullptr || length == 0) return match;
  match.prefix = best->id;
  match.num_tokens = static_cast<int32_t>(length);
  for (int i = 0; i < BlocksFor(match.num_tokens); ++i) {
    match.blocks.push_back(best->blocks[static_cast<size_t>(i)].Share());
  }
  ++best->num_matches;
  return match;
}

int PrefixIndex::num_blocks() const {
  int n = 0;
  for (const auto& [id, prefix] : prefixes_) n += static_cast<int>(prefix.blocks.size());
  return n;
}

}  // namespace intactkv
