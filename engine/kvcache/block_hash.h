// The names under which full blocks are cached: a SHA-256 chain over token ids, anchored on
// everything else that the bytes of a block depend on.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/ids.h"

namespace intactkv {

using BlockHash = std::array<uint8_t, 32>;

// What private blocks depend on besides their own tokens. Two requests share blocks only if all of
// it is equal.
struct CacheAnchor {
  uint64_t nonce = 0;  // per process: nobody outside can prepare a collision
  std::string model_identity = {};
  uint64_t epoch = 0;  // weights; old KV never meets new weights
  std::string tenant = {};
  std::string cache_salt = {};
  std::span<const TokenId> pinned_tokens = {};  // the c tokens that are read from pinned pages
};

// Each field is hashed with its length in front: no two anchors give the same byte string. O(c).
BlockHash HashAnchor(const CacheAnchor& anchor);

// Name of the full block `tokens` [kPageTokens] that follows `parent` (a block, or the anchor).
BlockHash HashBlock(const BlockHash& parent, std::span<const TokenId> tokens);

}  // namespace intactkv
