#include "engine/exec/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace intactkv {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MemoryPlanTest, AddsUpAndPrintsEveryPart) {
  MemoryPlan plan;
  plan.weights_bytes = 96'600'000;
  plan.pinned = {17, 1'474'560};
  plan.stored = {512, 403'200};
  plan.hot = {16, 1'474'560};
  plan.scratch_bytes = 40'000'000;
  EXPECT_EQ(plan.total_bytes(), 96'600'000 + 33 * int64_t{1'474'560} + 512 * 403'200 + 40'000'000);
  const std::string text = FormatMemoryPlan(plan);
  EXPECT_THAT(text, HasSubstr("  weights          96.6 MB\n"));
  EXPECT_THAT(text, HasSubstr("  pinned pages     25.1 MB  (17 pages of 32 tokens, 1474560 bytes"));
  EXPECT_THAT(text, HasSubstr("  hot slots        23.6 MB"));
  EXPECT_THAT(text, HasSubstr("  total           391.7 MB  (391698880 bytes)\n"));
  EXPECT_THAT(text, Not(HasSubstr("run-time")));
}

TEST(MemoryPlanTest, CountsTheWeightsOfRuntimePins) {
  MemoryPlan plan;
  plan.runtime_pin_weights_bytes = 538'000'000;
  EXPECT_EQ(plan.total_bytes(), 538'000'000);
  EXPECT_THAT(FormatMemoryPlan(plan), HasSubstr("  run-time pins   538.0 MB  (full-precision"));
}

}  // namespace
}  // namespace intactkv
