// Pinned prefixes and the rule that says which of their tokens a request uses.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/kvcache/block_ref.h"

namespace intactkv {

// Pinning is ownership: the prefix lives in its BlockRefs of the pinned class. There is no flag.
struct PinnedPrefix {
  PrefixId id{0};
  std::string name;   // for people
  std::string owner;  // "" = any tenant may match
  std::vector<TokenId> tokens;
  BlockTable blocks;  // BlocksFor(tokens.size()), in full precision
  std::string checksum;
  int64_t num_matches = 0;
};

// What one request uses of one prefix: its first `num_tokens` tokens. Kept by the request for life,
// so that the bytes stay although the prefix may be unpinned.
struct PinnedMatch {
  PrefixId prefix{0};
  int32_t num_tokens = 0;  // c; 0 = no pin
  BlockTable blocks;       // BlocksFor(c)
};

// A plain scan: there are few pinned prefixes. Engine thread only.
class PrefixIndex {
 public:
  // `prefix.id` must be new.
  void Add(PinnedPrefix prefix);
  // No new match from now on; its blocks return when the last match that uses them dies. False if
  // there is no such prefix.
  bool Remove(PrefixId id);
  void Clear() { prefixes_.clear(); }

  // The longest c such that `prompt` and a prefix that `tenant` may use agree on c ids; the older
  // prefix wins a tie. c == prompt.size() becomes c - 1: the last token is always computed by the
  // serving model. Counts a match of the prefix if c >= 1.
  // O(number of prefixes x (1 + agreeing tokens)).
  [[nodiscard]] PinnedMatch Match(std::span<const TokenId> prompt, const std::string& tenant);

  const std::map<PrefixId, PinnedPrefix>& prefixes() const { return prefixes_; }
  int num_blocks() const;

 private:
  std::map<PrefixId, PinnedPrefix> prefixes_;  // by age
};

}  // namespace intactkv
