// 10,000 seeds: for scripts/long.sh.
#include <gtest/gtest.h>

#include "tests/sim/seed_runner.h"

namespace intactkv::sim {
namespace {

TEST(SimulationLongTest, TenThousandSeedsAndEveryRarePath) {
  const RangeResult result =
      RunSeeds({.first = 0, .end = 10'000, .jobs = 2, .require_rare_paths = true});
  EXPECT_EQ(result.report, "");
}

}  // namespace
}  // namespace intactkv::sim
