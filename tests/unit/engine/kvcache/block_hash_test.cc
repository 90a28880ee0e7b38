#include "engine/kvcache/block_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "engine/base/page_entry.h"

namespace intactkv {
namespace {

std::vector<TokenId> Tokens(int count, int first = 0) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.emplace_back(first + i);
  return tokens;
}

TEST(BlockHashTest, EveryFieldOfTheAnchorCounts) {
  const std::vector<TokenId> pin = Tokens(3), longer = Tokens(4), other = Tokens(3, 9);
  const CacheAnchor base{.nonce = 1,
                         .model_identity = "m",
                         .epoch = 2,
                         .tenant = "t",
                         .cache_salt = "s",
                         .pinned_tokens = pin};
  std::vector<CacheAnchor> anchors(10, base);
  anchors[1].nonce = 9;
  anchors[2].model_identity = "n";
  anchors[3].epoch = 3;
  anchors[4].tenant = "u";
  anchors[5].cache_salt = "r";
  anchors[6].pinned_tokens = longer;
  anchors[7].pinned_tokens = other;
  anchors[8].pinned_tokens = {};
  anchors[9].tenant = "ts";  // the same bytes in other fields
  anchors[9].cache_salt = "";
  std::set<BlockHash> names;
  for (const CacheAnchor& anchor : anchors) names.insert(HashAnchor(anchor));
  EXPECT_EQ(names.size(), anchors.size());
  EXPECT_EQ(HashAnchor(base), HashAnchor(anchors[0]));
}

TEST(BlockHashTest, DependsOnParentAndEveryToken) {
  const BlockHash a = HashAnchor({.epoch = 1}), b = HashAnchor({.epoch = 2});
  const std::vector<TokenId> tokens = Tokens(kPageTokens);
  EXPECT_EQ(HashBlock(a, tokens), HashBlock(a, tokens));
  EXPECT_NE(HashBlock(a, tokens), HashBlock(b, tokens));
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::vector<TokenId> changed = tokens;
    changed[i] = TokenId(1'000);
    EXPECT_NE(HashBlock(a, tokens), HashBlock(a, changed)) << i;
  }
}

}  // namespace
}  // namespace intactkv
