#include "engine/kvcache/ownership_audit.h"

#include <gtest/gtest.h>

namespace intactkv {
namespace {

TEST(OwnershipAuditTest, CountsEachBlockOnceUnderItsStrongestClaim) {
  BlockPool pool(PageClass::kStored, 5, 1);
  BlockTable pin, sequence, cache;
  ASSERT_TRUE(pool.TryExtend(pin, 1));
  ASSERT_TRUE(pool.TryExtend(sequence, 1));
  ASSERT_TRUE(pool.TryExtend(cache, 1));
  cache.push_back(sequence[0].Share());
  sequence.push_back(pin[0].Share());
  OwnershipAudit audit(pool);
  audit.Claim(BlockOwner::kCache, cache);
  audit.Claim(BlockOwner::kSequence, sequence);
  audit.Claim(BlockOwner::kPin, pin);
  const BlockCensus census = audit.Finish();
  EXPECT_TRUE(census.problems.empty());
  EXPECT_EQ(census.total, 5);
  EXPECT_EQ(census.pinned, 1);
  EXPECT_EQ(census.owned, 1);
  EXPECT_EQ(census.cached, 1);
  EXPECT_EQ(census.free, 2);
  EXPECT_EQ(census.unaccounted, 0);
}

TEST(OwnershipAuditTest, SeesABlockThatNobodyShows) {
  BlockPool pool(PageClass::kStored, 2, 1);
  const std::optional<BlockRef> hidden = pool.TryAllocate();
  const BlockCensus census = OwnershipAudit(pool).Finish();
  EXPECT_EQ(census.unaccounted, 1);
  EXPECT_EQ(census.problems.size(), 1u);
}

TEST(OwnershipAuditTest, SeesATableThatShowsTooMuch) {
  BlockPool pool(PageClass::kStored, 2, 1);
  OwnershipAudit audit(pool);
  audit.Claim(BlockOwner::kSequence, BlockId(1));  // free in truth
  audit.Claim(BlockOwner::kSequence, BlockId(2));  // does not exist
  EXPECT_EQ(audit.Finish().problems.size(), 2u);
}

}  // namespace
}  // namespace intactkv
