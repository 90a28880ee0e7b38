#include "engine/kvcache/block_pool.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "engine/base/rng.h"

namespace intactkv {
namespace {

BlockPool MakePool(int n) { return BlockPool(PageClass::kStored, n, 100); }

std::vector<int> Ids(const BlockTable& table) {
  std::vector<int> ids;
  for (const BlockRef& ref : table) ids.push_back(ref.id().value);
  return ids;
}

TEST(BlockPoolTest, ExtendsAllOrNothingAtTheEdge) {
  BlockPool pool(PageClass::kStored, 3, 100);
  BlockTable table;
  EXPECT_TRUE(pool.TryExtend(table, 0));
  EXPECT_TRUE(pool.TryExtend(table, 2));
  EXPECT_FALSE(pool.TryExtend(table, 2));
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_TRUE(pool.TryExtend(table, 1));
  EXPECT_FALSE(pool.TryAllocate().has_value());
  EXPECT_TRUE(pool.CheckInvariants().ok());
}

TEST(BlockPoolTest, AnEmptyPoolGivesNothing) {
  BlockPool pool(PageClass::kPinned, 0, 0);
  EXPECT_FALSE(pool.TryAllocate().has_value());
  EXPECT_TRUE(pool.CheckInvariants().ok());
}

TEST(BlockPoolTest, FreedTailIsReusedFirst) {
  BlockPool pool(PageClass::kStored, 3, 100);
  BlockTable table;
  ASSERT_TRUE(pool.TryExtend(table, 3));
  EXPECT_EQ(Ids(table), (std::vector<int>{0, 1, 2}));
  ReleaseTailFirst(table);
  ASSERT_TRUE(pool.TryExtend(table, 3));
  EXPECT_EQ(Ids(table), (std::vector<int>{2, 1, 0}));
}

TEST(BlockPoolTest, ABlockIsFreeOnlyAfterItsLastOwner) {
  BlockPool pool(PageClass::kStored, 1, 100);
  BlockTable first, second;
  ASSERT_TRUE(pool.TryExtend(first, 1));
  second.push_back(first[0].Share());
  EXPECT_EQ(pool.ref_count(BlockId(0)), 2);
  first.clear();
  EXPECT_EQ(pool.num_free(), 0);
  second.clear();
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(BlockPoolTest, MovingMovesTheReference) {
  BlockPool pool(PageClass::kStored, 2, 100);
  BlockRef a = *pool.TryAllocate();
  BlockRef b = *pool.TryAllocate();
  b = std::move(a);  // gives up block 1
  EXPECT_EQ(b.id(), BlockId(0));
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.ref_count(BlockId(0)), 1);
}

struct CountingListener : BlockOwnerListener {
  void OnShared(BlockId) override { ++shared; }
  void OnSoleOwner(BlockId) override { ++sole; }
  int shared = 0, sole = 0;
};

TEST(BlockPoolTest, TellsWhenABlockIsSharedAndWhenNoLonger) {
  BlockPool pool(PageClass::kStored, 1, 100);
  CountingListener listener;
  pool.SetListener(&listener);
  BlockTable owners;
  ASSERT_TRUE(pool.TryExtend(owners, 1));
  owners.push_back(owners[0].Share());
  owners.push_back(owners[0].Share());
  EXPECT_EQ(listener.shared, 1);
  EXPECT_EQ(listener.sole, 0);
  owners.pop_back();
  EXPECT_EQ(listener.sole, 0);
  owners.pop_back();
  EXPECT_EQ(listener.sole, 1);
  pool.SetListener(nullptr);
}

TEST(BlockPoolDeathTest, ALeakEndsTheProcess) {
  EXPECT_DEATH(
      {
        std::optional<BlockRef> leaked;
        BlockPool pool = MakePool(1);
        leaked = pool.TryAllocate();
      },
      "outlives its pool");
}

TEST(BlockPoolPropertyTest, HeldPlusFreeIsConstant) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const int total = static_cast<int>(rng.Below(12));
    BlockPool pool(PageClass::kStored, total, 1);
    BlockTable held;
    for (int i = 0; i < 100; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(rng.Below(held.size() + 1));
      switch (rng.Below(3)) {
        case 0: {
          const int n = static_cast<int>(rng.Below(5));
          const bool fits = n <= pool.num_free();
          EXPECT_EQ(pool.TryExtend(held, n), fits);
          break;
        }
        case 1:
          if (at < std::ssize(held)) held.push_back(held[static_cast<size_t>(at)].Share());
          break;
        default:
          if (at < std::ssize(held)) held.erase(held.begin() + at);
      }
      const std::vector<int> ids = Ids(held);
      const std::set<int> distinct(ids.begin(), ids.end());
      ASSERT_EQ(pool.num_free(), total - static_cast<int>(distinct.size()));
      ASSERT_TRUE(pool.CheckInvariants().ok());
    }
  }
}

}  // namespace
}  // namespace intactkv
