#include "engine/kvcache/prefix_index.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/kvcache/block_pool.h"

namespace intactkv {
namespace {

using Tokens = std::vector<TokenId>;

Tokens MakeTokens(int count, int first = 0) {
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.emplace_back(first + i);
  return tokens;
}

class PrefixIndexTest : public ::testing::Test {
 protected:
  void Pin(uint64_t id, const Tokens& tokens, const std::string& owner = "") {
    PinnedPrefix prefix;
    prefix.id = PrefixId(id);
    prefix.owner = owner;
    prefix.tokens = tokens;
    ASSERT_TRUE(pool_.TryExtend(prefix.blocks, BlocksFor(static_cast<int64_t>(tokens.size()))));
    index_.Add(std::move(prefix));
  }

  BlockPool pool_{PageClass::kPinned, 16, 1};
  PrefixIndex index_;
};

TEST_F(PrefixIndexTest, MatchesEveryLengthAtBlockEdges) {
  Pin(1, MakeTokens(100));
  for (const int c : {0, 1, 31, 32, 33, 63, 64, 65, 99, 100}) {
    Tokens prompt = MakeTokens(c);
    prompt.emplace_back(777);
    const PinnedMatch match = index_.Match(prompt, "");
    EXPECT_EQ(match.num_tokens, c);
    EXPECT_EQ(static_cast<int>(match.blocks.size()), BlocksFor(c));
  }
}

TEST_F(PrefixIndexTest, TheLastTokenIsAlwaysComputed) {
  Pin(1, MakeTokens(40));
  EXPECT_EQ(index_.Match(MakeTokens(40), "").num_tokens, 39);
  EXPECT_EQ(index_.Match(MakeTokens(33), "").num_tokens, 32);
  EXPECT_EQ(index_.Match(MakeTokens(33), "").blocks.size(), 1u);
  EXPECT_EQ(index_.Match(MakeTokens(2), "").num_tokens, 1);
  const PinnedMatch none = index_.Match(MakeTokens(1), "");
  EXPECT_EQ(none.num_tokens, 0);
  EXPECT_TRUE(none.blocks.empty());
  EXPECT_EQ(index_.prefixes().at(PrefixId(1)).num_matches, 4);
}

TEST_F(PrefixIndexTest, TakesTheLongestAndTheOlderOnATie) {
  Pin(5, MakeTokens(10));
  Pin(7, MakeTokens(20));
  Pin(9, MakeTokens(20));
  EXPECT_EQ(index_.Match(MakeTokens(50), "").prefix, PrefixId(7));
  EXPECT_EQ(index_.Match(MakeTokens(8), "").prefix, PrefixId(5));
}

TEST_F(PrefixIndexTest, AnOwnedPrefixIsForItsTenantOnly) {
  Pin(1, MakeTokens(5));
  Pin(2, MakeTokens(20), "a");
  EXPECT_EQ(index_.Match(MakeTokens(50), "a").num_tokens, 20);
  EXPECT_EQ(index_.Match(MakeTokens(50), "b").num_tokens, 5);
  EXPECT_EQ(index_.Match(MakeTokens(50), "").num_tokens, 5);
}

TEST_F(PrefixIndexTest, AMatchOutlivesItsPrefix) {
  Pin(1, MakeTokens(33));
  EXPECT_EQ(index_.num_blocks(), 2);
  {
    const PinnedMatch match = index_.Match(MakeTokens(50), "");
    EXPECT_TRUE(index_.Remove(PrefixId(1)));
    EXPECT_FALSE(index_.Remove(PrefixId(1)));
    EXPECT_EQ(pool_.num_free(), 14);
    EXPECT_EQ(index_.Match(MakeTokens(50), "").num_tokens, 0);
  }
  EXPECT_EQ(pool_.num_free(), 16);
}

}  // namespace
}  // namespace intactkv
