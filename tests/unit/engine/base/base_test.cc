#include <gtest/gtest.h>

#include "engine/base/bounded_queue.h"
#include "engine/base/check.h"
#include "engine/base/json_log.h"
#include "engine/base/monotonic_time.h"
#include "engine/base/page_entry.h"
#include "engine/base/rng.h"

namespace intactkv {
namespace {

TEST(PageEntryTest, CarriesClassAndSlotAtBothEdges) {
  for (const PageClass cls : {PageClass::kPinned, PageClass::kStored, PageClass::kHot}) {
    for (const int32_t slot : {0, 1, (1 << 28) - 1}) {
      const PageEntry entry(cls, slot);
      EXPECT_EQ(entry.page_class(), cls);
      EXPECT_EQ(entry.slot(), slot);
    }
  }
}

TEST(PageEntryTest, BlocksForRoundsUpAtPageEdges) {
  EXPECT_EQ(BlocksFor(0), 0);
  EXPECT_EQ(BlocksFor(1), 1);
  EXPECT_EQ(BlocksFor(31), 1);
  EXPECT_EQ(BlocksFor(32), 1);
  EXPECT_EQ(BlocksFor(33), 2);
}

TEST(BoundedQueueTest, RefusesBeyondItsCapacityAndKeepsOrder) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  EXPECT_EQ(queue.TryPop(), 1);
  EXPECT_TRUE(queue.TryPush(4));
  EXPECT_EQ(queue.TryPop(), 2);
  EXPECT_EQ(queue.TryPop(), 4);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

// Whatever the wall clock says meanwhile.
TEST(TimeAnchorTest, GoesOnByTheSteadyClock) {
  const TimeAnchor anchor{absl::FromUnixSeconds(1'000), std::chrono::steady_clock::time_point()};
  EXPECT_EQ(anchor.At(anchor.steady), anchor.wall);
  EXPECT_EQ(anchor.At(anchor.steady + std::chrono::milliseconds(2'500)),
            absl::FromUnixMillis(1'002'500));
}

TEST(MonotonicNowTest, NeverGoesBackAndStartsAtTheWallClock) {
  absl::Time last = MonotonicNow();
  EXPECT_LT(absl::AbsDuration(absl::Now() - last), absl::Hours(1));
  for (int i = 0; i < 10'000; ++i) {
    const absl::Time now = MonotonicNow();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(RngTest, DependsOnSeedAndCounterOnly) {
  EXPECT_EQ(RandomBits(1, 2), RandomBits(1, 2));
  EXPECT_NE(RandomBits(1, 2), RandomBits(2, 1));
  double sum = 0;
  for (uint64_t i = 0; i < 10'000; ++i) sum += RandomUnit(7, i);
  EXPECT_NEAR(sum / 10'000, 0.5, 0.01);
}

TEST(JsonLogTest, EscapesWhatJsonForbids) {
  std::string out;
  AppendJsonString(out, "a\"\\\n\x01\xc3\xa9");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\"");
}

TEST(CheckDeathTest, SaysWhatBrokeAndWhere) {
  EXPECT_DEATH(CHECK_EQ(1 + 1, 3) << "sum", "base_test.cc.*CHECK failed.*2 vs 3.*sum");
}

}  // namespace
}  // namespace intactkv
