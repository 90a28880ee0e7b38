#include "engine/kvcache/kv_cache_manager.h"

#include <gtest/gtest.h>

#include <vector>

namespace intactkv {
namespace {

using Tokens = std::vector<TokenId>;

Tokens MakeTokens(int count, int first = 0) {
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.emplace_back(first + i);
  return tokens;
}

class KvCacheManagerTest : public ::testing::Test {
 protected:
  // Runs a sequence of these private tokens to its end and releases it.
  int32_t RunThrough(const Tokens& tokens) {
    SequenceKv kv;
    const auto hits = manager_.TryAdmit(kv, {.private_tokens = tokens});
    EXPECT_TRUE(hits.has_value());
    const auto n = static_cast<int32_t>(tokens.size());
    EXPECT_TRUE(manager_.TryGrow(kv, BlocksFor(n)));
    manager_.Publish(kv, tokens, n);
    manager_.Release(kv);
    return hits.value_or(-1);
  }

  BlockPool stored_{PageClass::kStored, 6, 1};
  BlockPool hot_{PageClass::kHot, 2, 1};
  KvCacheManager manager_{{.prefix_cache = true}, stored_, hot_};
};

TEST_F(KvCacheManagerTest, FitsAtTheEdge) {
  EXPECT_TRUE(manager_.CanEverFit(6 * kPageTokens));
  EXPECT_FALSE(manager_.CanEverFit(6 * kPageTokens + 1));
}

TEST_F(KvCacheManagerTest, AHitLeavesThePageOfTheLastTokenOut) {
  const Tokens all = MakeTokens(97);
  RunThrough(all);  // caches 3 blocks
  for (const auto& [n, hits] : std::vector<std::pair<int, int>>{
           {1, 0}, {31, 0}, {32, 0}, {33, 1}, {64, 1}, {65, 2}, {96, 2}, {97, 3}}) {
    EXPECT_EQ(RunThrough(Tokens(all.begin(), all.begin() + n)), hits) << n;
  }
}

TEST_F(KvCacheManagerTest, AdmissionNeedsAHotSlot) {
  const Tokens tokens = MakeTokens(1);
  SequenceKv a, b, c;
  EXPECT_TRUE(manager_.TryAdmit(a, {.private_tokens = tokens}));
  EXPECT_TRUE(manager_.TryAdmit(b, {.private_tokens = tokens}));
  EXPECT_FALSE(manager_.TryAdmit(c, {.private_tokens = tokens}));
  manager_.Release(a);
  EXPECT_TRUE(manager_.TryAdmit(c, {.private_tokens = tokens}));
  manager_.Release(b);
  manager_.Release(c);
  EXPECT_EQ(hot_.num_free(), 2);
}

TEST_F(KvCacheManagerTest, AdmissionCountsKnownTokensPendingAndReserve) {
  SequenceKv kv;
  const Tokens six = MakeTokens(6 * kPageTokens), seven = MakeTokens(6 * kPageTokens + 1);
  EXPECT_FALSE(manager_.TryAdmit(kv, {.private_tokens = seven}));
  EXPECT_FALSE(manager_.TryAdmit(kv, {.private_tokens = six, .pending_blocks = 1}));
  const Tokens one = MakeTokens(1);
  EXPECT_FALSE(manager_.TryAdmit(kv, {.private_tokens = one, .reserve_blocks = 7}));
  EXPECT_FALSE(
      manager_.TryAdmit(kv, {.private_tokens = one, .reserve_blocks = 6, .pending_blocks = 1}));
  EXPECT_TRUE(kv.stored.empty());
  EXPECT_EQ(hot_.num_free(), 2);
  EXPECT_TRUE(manager_.TryAdmit(kv, {.private_tokens = one, .reserve_blocks = 6}));
  EXPECT_EQ(kv.stored.size(), 6u);
  EXPECT_TRUE(kv.reserved);
  manager_.Release(kv);
  EXPECT_FALSE(kv.reserved);
  EXPECT_EQ(stored_.num_free(), 6);
}

TEST_F(KvCacheManagerTest, NoLookupWhenNotEvenFullHitsWouldFit) {
  const Tokens cached = MakeTokens(33);  // one block may be hit
  RunThrough(cached);
  ASSERT_EQ(manager_.num_available(), 6);
  SequenceKv kv;
  // Two blocks, one of them hit, beside six that are pending: seven of six.
  EXPECT_FALSE(manager_.TryAdmit(kv, {.private_tokens = cached, .pending_blocks = 6}));
  EXPECT_TRUE(kv.hashes.empty()) << "nothing was looked up";
  // Beside five it would fit if the hit came for free; it does not: the block counted as available.
  EXPECT_FALSE(manager_.TryAdmit(kv, {.private_tokens = cached, .pending_blocks = 5}));
  EXPECT_EQ(kv.hashes.size(), 1u);
  EXPECT_EQ(manager_.TryAdmit(kv, {.private_tokens = cached, .pending_blocks = 4}), 1);
  manager_.Release(kv);
}

TEST_F(KvCacheManagerTest, GrowthEvictsWhatNobodyUses) {
  RunThrough(MakeTokens(4 * kPageTokens));
  EXPECT_EQ(stored_.num_free(), 2);
  EXPECT_EQ(manager_.num_available(), 6);
  SequenceKv kv;
  const Tokens other = MakeTokens(1, 500);
  ASSERT_TRUE(manager_.TryAdmit(kv, {.private_tokens = other}));
  EXPECT_FALSE(manager_.TryGrow(kv, 7));
  EXPECT_EQ(manager_.num_evicted(), 0) << "a failure changed something";
  EXPECT_TRUE(manager_.TryGrow(kv, 5));
  EXPECT_EQ(manager_.num_evicted(), 3);
  EXPECT_TRUE(manager_.TryGrow(kv, 3)) << "tables only grow";
  EXPECT_EQ(kv.stored.size(), 5u);
  manager_.Release(kv);
}

TEST_F(KvCacheManagerTest, HitsThatDoNotFitAreGivenBack) {
  const Tokens tokens = MakeTokens(3 * kPageTokens);
  RunThrough(tokens);
  SequenceKv kv;
  Tokens longer = tokens;
  const Tokens tail = MakeTokens(4 * kPageTokens, 900);
  longer.insert(longer.end(), tail.begin(), tail.end());
  EXPECT_FALSE(manager_.TryAdmit(kv, {.private_tokens = longer}));
  EXPECT_EQ(manager_.num_cached(), 3);
  EXPECT_EQ(hot_.num_free(), 2);
}

TEST_F(KvCacheManagerTest, OnlyWhatIsComputedIsPublished) {
  const Tokens tokens = MakeTokens(3 * kPageTokens);
  SequenceKv kv;
  ASSERT_TRUE(manager_.TryAdmit(kv, {.private_tokens = tokens}));
  ASSERT_TRUE(manager_.TryGrow(kv, 3));
  manager_.Publish(kv, tokens, kPageTokens - 1);
  EXPECT_EQ(manager_.prefix_cache()->num_entries(), 0);
  manager_.Publish(kv, tokens, 2 * kPageTokens + 31);
  EXPECT_EQ(manager_.prefix_cache()->num_entries(), 2);
  manager_.Release(kv);
  EXPECT_EQ(manager_.num_cached(), 2);
  EXPECT_EQ(stored_.num_free(), 4);
  manager_.ClearPrefixCache();
  EXPECT_EQ(stored_.num_free(), 6);
}

TEST_F(KvCacheManagerTest, WithoutACacheNothingIsKept) {
  BlockPool stored(PageClass::kStored, 4, 1);
  KvCacheManager manager({.prefix_cache = false}, stored, hot_);
  const Tokens tokens = MakeTokens(65);
  SequenceKv kv;
  ASSERT_EQ(manager.TryAdmit(kv, {.private_tokens = tokens}), 0);
  ASSERT_TRUE(manager.TryGrow(kv, 3));
  manager.Publish(kv, tokens, 65);
  manager.Release(kv);
  EXPECT_EQ(stored.num_free(), 4);
}

}  // namespace
}  // namespace intactkv
