// 500 seeds, and every rare path among them.
#include <gtest/gtest.h>

#include "tests/sim/seed_runner.h"

namespace intactkv::sim {
namespace {

TEST(SimulationTest, FiveHundredSeedsAndEveryRarePath) {
  const RangeResult result =
      RunSeeds({.first = 0, .end = 500, .jobs = 2, .require_rare_paths = true});
  EXPECT_EQ(result.report, "");
  EXPECT_GT(result.num_requests, 500 * 40);
}

}  // namespace
}  // namespace intactkv::sim
