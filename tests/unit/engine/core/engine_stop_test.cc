// RequestHandle::Stop: the client has its whole answer. Ends a request as Cancel does, and counts
// as a good end.
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

int64_t Finished(Bench& bench, FinishReason reason) {
  return bench.engine().Stats().requests_finished[static_cast<size_t>(reason)];
}

TEST(EngineStopTest, EndsWithOkAndCountsAsStop) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 20));
  bench.engine().Step();
  bench.engine().Step();
  ASSERT_EQ(record->tokens[0].size(), 2u);
  bench.StopNewest();
  bench.RunUntilIdle();
  EXPECT_EQ(record->num_finishes, 1);
  EXPECT_TRUE(record->info.status.ok()) << record->info.status;
  EXPECT_EQ(record->tokens[0].size(), 2u);
  EXPECT_EQ(record->info.usage.completion_tokens, 2);
  EXPECT_EQ(Finished(bench, FinishReason::kStop), 1);
  EXPECT_EQ(Finished(bench, FinishReason::kCancelled), 0);
  bench.ExpectNothingOwned();
}

TEST(EngineStopTest, ACancelAfterItChangesNothing) {
  Bench bench;
  (void)bench.Submit(MakeRequest(10, 20));
  bench.engine().Step();
  bench.StopNewest();
  bench.CancelNewest();
  bench.RunUntilIdle();
  EXPECT_EQ(Finished(bench, FinishReason::kStop), 1);
}

TEST(EngineStopTest, AfterTheEndItDoesNothing) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 3));
  bench.RunUntilIdle();
  EXPECT_EQ(Finished(bench, FinishReason::kLength), 1);
  bench.StopNewest();
  bench.RunUntilIdle();
  EXPECT_EQ(record->num_finishes, 1);
  EXPECT_EQ(Finished(bench, FinishReason::kStop), 0);
}

TEST(RequestHandleTest, WithoutAWayToStopItCancels) {
  int cancels = 0;
  RequestHandle handle([&] { ++cancels; });
  handle.Stop();
  handle.Stop();
  handle.Cancel();
  EXPECT_EQ(cancels, 1);
}

}  // namespace
}  // namespace intactkv
