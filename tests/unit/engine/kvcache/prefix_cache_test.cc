#include "engine/kvcache/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/base/rng.h"

namespace intactkv {
namespace {

using Tokens = std::vector<TokenId>;

Tokens MakeTokens(int count, int first = 0) {
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.emplace_back(first + i);
  return tokens;
}

const BlockHash kAnchor = HashAnchor({.model_identity = "m"});

std::vector<BlockHash> Chain(const Tokens& tokens, const BlockHash& anchor = kAnchor) {
  std::vector<BlockHash> hashes;
  const std::span<const TokenId> all(tokens);
  for (size_t i = 0; (i + 1) * kPageTokens <= tokens.size(); ++i) {
    hashes.push_back(
        HashBlock(i == 0 ? anchor : hashes.back(), all.subspan(i * kPageTokens, kPageTokens)));
  }
  return hashes;
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  void Publish(const Tokens& tokens, const BlockTable& table) {
    const std::vector<BlockHash> hashes = Chain(tokens);
    for (size_t i = 0; i < table.size(); ++i) PublishOne(tokens, hashes, i, table[i]);
  }
  void PublishOne(const Tokens& tokens, const std::vector<BlockHash>& hashes, size_t i,
                  const BlockRef& ref) {
    cache_.Publish({.parent = i == 0 ? kAnchor : hashes[i - 1],
                    .hash = hashes[i],
                    .depth = static_cast<int32_t>(i),
                    .tokens = std::span(tokens).subspan(i * kPageTokens, kPageTokens)},
                   ref);
  }
  // Computes `tokens`, publishes its blocks and lets go of them.
  void Fill(const Tokens& tokens) {
    BlockTable table;
    ASSERT_TRUE(pool_.TryExtend(table, static_cast<int>(tokens.size()) / kPageTokens));
    Publish(tokens, table);
    ReleaseTailFirst(table);
  }
  size_t Hits(const Tokens& tokens) { return cache_.Lookup(kAnchor, Chain(tokens), tokens).size(); }

  BlockPool pool_{PageClass::kStored, 8, 1};
  PrefixCache cache_{pool_};
};

TEST_F(PrefixCacheTest, FindsTheLongestRunAndOwnsIt) {
  const Tokens tokens = MakeTokens(3 * kPageTokens);
  Fill(tokens);
  EXPECT_EQ(cache_.num_evictable(), 3);
  Tokens branch = tokens;
  branch[2 * kPageTokens] = TokenId(999);
  const BlockTable hits = cache_.Lookup(kAnchor, Chain(branch), branch);
  EXPECT_EQ(hits.size(), 2u);
  EXPECT_EQ(cache_.num_evictable(), 1);
  EXPECT_TRUE(cache_.EvictOne());  // the third block
  EXPECT_FALSE(cache_.EvictOne()) << "evicted a block that is in use";
  EXPECT_EQ(pool_.num_free(), 6);
}

TEST_F(PrefixCacheTest, NothingIsFoundUnderAnotherAnchor) {
  const Tokens tokens = MakeTokens(kPageTokens);
  Fill(tokens);
  const BlockHash other = HashAnchor({.model_identity = "n"});
  EXPECT_TRUE(cache_.Lookup(other, Chain(tokens, other), tokens).empty());
}

TEST_F(PrefixCacheTest, AHashThatLiesIsCaughtByTokensAndParent) {
  const Tokens tokens = MakeTokens(2 * kPageTokens);
  Fill(tokens);
  const std::vector<BlockHash> hashes = Chain(tokens);
  Tokens changed = tokens;
  changed[kPageTokens + 5] = TokenId(999);
  EXPECT_EQ(cache_.Lookup(kAnchor, hashes, changed).size(), 1u);
  const BlockHash other = HashAnchor({.model_identity = "n"});
  EXPECT_TRUE(cache_.Lookup(other, hashes, tokens).empty());
}

TEST_F(PrefixCacheTest, TheOlderBlockKeepsTheName) {
  const Tokens tokens = MakeTokens(kPageTokens);
  BlockTable first, second;
  ASSERT_TRUE(pool_.TryExtend(first, 1));
  ASSERT_TRUE(pool_.TryExtend(second, 1));
  Publish(tokens, first);
  Publish(tokens, second);
  EXPECT_EQ(cache_.num_entries(), 1);
  EXPECT_EQ(cache_.Lookup(kAnchor, Chain(tokens), tokens)[0].id(), first[0].id());
  second.clear();
  EXPECT_EQ(pool_.num_free(), 7);
}

TEST_F(PrefixCacheTest, EvictsTheLeastRecentlyUsedAndTheDeeperFirst) {
  const Tokens a = MakeTokens(2 * kPageTokens, 0), b = MakeTokens(2 * kPageTokens, 500);
  cache_.SetStep(1);
  Fill(a);
  cache_.SetStep(2);
  Fill(b);
  cache_.SetStep(3);
  EXPECT_EQ(Hits(a), 2u);  // now a is younger
  EXPECT_TRUE(cache_.EvictOne());
  EXPECT_EQ(Chain(b).size(), 2u);
  EXPECT_EQ(cache_.num_evicted(), 1);
  cache_.SetStep(4);
  EXPECT_EQ(Hits(b), 1u) << "the deeper block goes first";  // and b is the youngest now
  EXPECT_TRUE(cache_.EvictOne());
  EXPECT_EQ(Hits(a), 1u);
}

TEST_F(PrefixCacheTest, ClearLeavesBlocksToWhoUsesThem) {
  const Tokens tokens = MakeTokens(2 * kPageTokens);
  Fill(tokens);
  BlockTable user = cache_.Lookup(kAnchor, Chain(tokens), tokens);
  user.pop_back();
  cache_.Clear();
  EXPECT_EQ(cache_.num_entries(), 0);
  EXPECT_EQ(pool_.num_free(), 7);
  EXPECT_EQ(Hits(tokens), 0u);
  user.clear();
  EXPECT_EQ(pool_.num_free(), 8);
  EXPECT_FALSE(cache_.EvictOne());
}

// Against a model: a list of (tokens of the chain up to the block), most recent last.
TEST_F(PrefixCacheTest, AgreesWithASimpleModelUnderRandomUse) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    BlockPool pool(PageClass::kStored, 6, 1);
    PrefixCache cache(pool);
    Rng rng(seed);
    std::vector<Tokens> present;
    int64_t evictions = 0;
    for (int64_t step = 1; step < 60; ++step) {
      cache.SetStep(step);
      const auto num_blocks = 1 + rng.Below(3);
      Tokens tokens;
      for (uint64_t b = 0; b < num_blocks; ++b) {
        const Tokens part = MakeTokens(kPageTokens, 100 * static_cast<int>(rng.Below(2)));
        tokens.insert(tokens.end(), part.begin(), part.end());
      }
      const std::vector<BlockHash> hashes = Chain(tokens);
      BlockTable table = cache.Lookup(kAnchor, hashes, tokens);
      size_t expected = 0;
      const auto chain = [&](size_t n) {
        return Tokens(tokens.begin(),
                      tokens.begin() + static_cast<std::ptrdiff_t>(n) * kPageTokens);
      };
      while (expected < num_blocks &&
             std::ranges::find(present, chain(expected + 1)) != present.end()) {
        ++expected;
      }
      ASSERT_EQ(table.size(), expected) << "seed " << seed << " step " << step;
      // Used now: to the back, deepest first.
      for (size_t n = expected; n > 0; --n) {
        std::erase(present, chain(n));
        present.push_back(chain(n));
      }
      while (table.size() < num_blocks) {
        if (pool.num_free() == 0) {
          ASSERT_TRUE(cache.EvictOne());
          ++evictions;
          present.erase(present.begin());
        }
        ASSERT_TRUE(pool.TryExtend(table, 1));
      }
      for (size_t i = expected; i < num_blocks; ++i) {
        const BlockHash parent = i == 0 ? kAnchor : hashes[i - 1];
        cache.Publish({.parent = parent,
                       .hash = hashes[i],
                       .depth = static_cast<int32_t>(i),
                       .tokens = std::span(tokens).subspan(i * kPageTokens, kPageTokens)},
                      table[i]);
      }
      // The model's order within one step: deeper first.
      for (size_t n = num_blocks; n > 0; --n) {
        std::erase(present, chain(n));
        if (cache.Lookup(kAnchor, std::span(hashes).first(n), tokens).size() == n) {
          present.push_back(chain(n));
        }
      }
      ReleaseTailFirst(table);
      ASSERT_EQ(cache.num_evictable(), cache.num_entries());
      ASSERT_EQ(pool.num_free() + cache.num_entries(), 6);
    }
    EXPECT_GT(evictions, 0);
  }
}

// With names of no byte at all every block has the same name.
TEST(PrefixCacheNameTest, AHitIsProvenByItsContentsNotByItsName) {
  BlockPool pool(PageClass::kStored, 4, 1);
  PrefixCache cache(pool, /*name_bytes=*/0);
  const Tokens one = MakeTokens(kPageTokens), other = MakeTokens(kPageTokens, 500);
  BlockTable table;
  ASSERT_TRUE(pool.TryExtend(table, 1));
  cache.Publish({.parent = kAnchor, .hash = Chain(one)[0], .tokens = one}, table[0]);
  ReleaseTailFirst(table);
  EXPECT_EQ(cache.next_victim(), BlockId(0));
  EXPECT_TRUE(cache.Lookup(kAnchor, Chain(other), other).empty()) << "other tokens";
  const BlockHash elsewhere = HashAnchor({.model_identity = "n"});
  EXPECT_TRUE(cache.Lookup(elsewhere, Chain(one, elsewhere), one).empty()) << "another parent";
  EXPECT_EQ(cache.num_name_conflicts(), 2);
  EXPECT_EQ(cache.Lookup(kAnchor, Chain(one), one).size(), 1u);
  EXPECT_TRUE(cache.EvictOne());
  EXPECT_EQ(cache.next_victim(), std::nullopt);
}

}  // namespace
}  // namespace intactkv
