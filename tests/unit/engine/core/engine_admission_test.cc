// CheckAdmission says beforehand what Submit would say of any request.
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

using absl::StatusCode;

TEST(EngineAdmissionTest, IsRefusedFromTheFullQueueOnAndCounted) {
  EngineCoreOptions options = SmallOptions();
  options.max_queue = 2;
  Bench bench(options);
  (void)bench.Submit(MakeRequest(3, 4));
  EXPECT_TRUE(bench.engine().CheckAdmission().ok());
  (void)bench.Submit(MakeRequest(3, 4));
  EXPECT_EQ(bench.engine().CheckAdmission().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(bench.engine().Stats().requests_rejected, 1);
  bench.engine().Step();
  EXPECT_TRUE(bench.engine().CheckAdmission().ok());
  EXPECT_EQ(bench.engine().Stats().requests_rejected, 1);
  bench.RunUntilIdle();
}

TEST(EngineAdmissionTest, IsRefusedWhileDraining) {
  Bench bench;
  bench.engine().DrainAsync(absl::InfiniteFuture(), [] {});
  EXPECT_EQ(bench.engine().CheckAdmission().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace intactkv
