// The end of serving: Drain lets what was accepted finish, its deadline or a second Drain hurries,
// Stop ends everything at once. In each case every request hears OnFinish exactly once.
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

using absl::StatusCode;

void ExpectShutDown(const Record& record) {
  EXPECT_EQ(record.num_finishes, 1);
  EXPECT_EQ(record.info.status.code(), StatusCode::kUnavailable);
  EXPECT_FALSE(record.token_after_finish);
  EXPECT_TRUE(record.destroyed);
}

TEST(EngineDrainTest, WhatWasAcceptedFinishesAndNewRequestsAreRefused) {
  Bench bench(OneAtATime());
  const GenerationRequest first = MakeRequest(10, 5);
  const GenerationRequest second = MakeRequest(20, 5, 300);
  const GenerationRequest third = MakeRequest(30, 5, 600);
  const auto running = bench.Submit(first);
  const auto waiting = bench.Submit(second);
  bench.engine().Step();
  const auto queued = bench.Submit(third);  // still in the command queue
  EXPECT_FALSE(bench.engine().Stats().draining);
  int num_done = 0;
  bench.engine().DrainAsync(absl::InfiniteFuture(), [&] { ++num_done; });
  EXPECT_TRUE(bench.engine().Stats().draining);
  EXPECT_EQ(bench.TrySubmit(MakeRequest(3, 3)).code(), StatusCode::kUnavailable);
  int steps = 0;
  while (num_done == 0 && ++steps < 100) {
    EXPECT_FALSE(running->num_finishes + waiting->num_finishes + queued->num_finishes == 3);
    bench.engine().Step();
  }
  EXPECT_EQ(num_done, 1);
  bench.ExpectAnswer(first, *running, 0);
  bench.ExpectAnswer(second, *waiting, 0);
  bench.ExpectAnswer(third, *queued, 0);
  bench.ExpectNothingOwned();
  EXPECT_EQ(num_done, 1) << "told once";
}

TEST(EngineDrainTest, TheDeadlineEndsTheRest) {
  Bench bench(OneAtATime());
  const auto running = bench.Submit(MakeRequest(10, 500));
  const auto waiting = bench.Submit(MakeRequest(20, 5, 300));
  bench.engine().Step();
  const auto queued = bench.Submit(MakeRequest(20, 5, 600));
  bool done = false;
  bench.engine().DrainAsync(bench.clock().Now() + absl::Milliseconds(10), [&] { done = true; });
  bench.engine().Step();
  bench.clock().Advance(absl::Milliseconds(10) - absl::Nanoseconds(1));
  bench.engine().Step();
  EXPECT_FALSE(done);
  EXPECT_EQ(running->num_finishes, 0);
  bench.clock().Advance(absl::Nanoseconds(1));
  bench.engine().Step();
  EXPECT_TRUE(done);
  ExpectShutDown(*running);
  ExpectShutDown(*waiting);
  ExpectShutDown(*queued);
  EXPECT_EQ(running->info.usage.completion_tokens, static_cast<int>(running->tokens[0].size()));
  EXPECT_EQ(bench.engine().Stats().requests_finished[static_cast<size_t>(FinishReason::kError)], 3);
  bench.ExpectNothingOwned();
}

TEST(EngineDrainTest, ASecondDrainHurriesTheFirstAndBothAreTold) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 500));
  bench.engine().Step();
  int first = 0;
  int second = 0;
  bench.engine().DrainAsync(absl::InfiniteFuture(), [&] { ++first; });
  bench.engine().Step();
  ASSERT_EQ(first, 0);
  bench.engine().DrainAsync(bench.clock().Now(), [&] { ++second; });
  bench.engine().Step();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  ExpectShutDown(*record);
  bench.ExpectNothingOwned();
}

TEST(EngineDrainTest, ALaterDeadlineDoesNotPutItOff) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 500));
  bench.engine().Step();
  bool done = false;
  bench.engine().DrainAsync(bench.clock().Now() + absl::Milliseconds(1), [&] { done = true; });
  bench.engine().DrainAsync(absl::InfiniteFuture(), [] {});
  bench.clock().Advance(absl::Milliseconds(1));
  bench.engine().Step();
  EXPECT_TRUE(done);
  ExpectShutDown(*record);
}

TEST(EngineDrainTest, AnIdleEngineIsDrainedAtOnceAndAgain) {
  Bench bench;
  bench.engine().Drain(absl::InfiniteFuture());  // would step for ever if it were not
  bench.engine().Drain(absl::InfiniteFuture());
  EXPECT_TRUE(bench.engine().Stats().draining);
  bench.ExpectAuditClean();
}

TEST(EngineDrainTest, CancelsStillWorkWhileDraining) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 500));
  bench.engine().Step();
  bool done = false;
  bench.engine().DrainAsync(absl::InfiniteFuture(), [&] { done = true; });
  bench.Cancel(0);
  bench.engine().Step();
  EXPECT_TRUE(done);
  EXPECT_EQ(record->info.status.code(), StatusCode::kCancelled);
}

TEST(EngineStopTest, EndsEverythingAndEveryLaterCallIsUnavailable) {
  Bench bench(OneAtATime());
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  const auto running = bench.Submit(MakeRequest(50, 500));
  const auto waiting = bench.Submit(MakeRequest(20, 5, 300));
  bench.engine().Step();
  const auto queued = bench.Submit(MakeRequest(20, 5, 600));
  int num_drained = 0;
  bench.engine().DrainAsync(absl::InfiniteFuture(), [&] { ++num_drained; });
  absl::Status replaced;
  bench.engine().ReplaceModelAsync(bench.MakeExecutor(1), {},
                                   [&](absl::Status status) { replaced = std::move(status); });
  bench.engine().Stop();
  bench.engine().Stop();
  ExpectShutDown(*running);
  ExpectShutDown(*waiting);
  ExpectShutDown(*queued);
  EXPECT_EQ(num_drained, 1);
  EXPECT_EQ(replaced.code(), StatusCode::kUnavailable);
  const EngineStats stats = bench.engine().Stats();
  for (const PageCounts& pages : stats.pages) EXPECT_EQ(pages.free, pages.total);

  EXPECT_EQ(bench.TrySubmit(MakeRequest(3, 3)).code(), StatusCode::kUnavailable);
  EXPECT_EQ(bench.engine().Pin({.name = "q", .tokens = MakeTokens(3), .owner = ""}).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(bench.engine().Unpin(PrefixId(1)).code(), StatusCode::kUnavailable);
  EXPECT_EQ(bench.engine().Audit().status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(bench.engine().ReplaceModel(bench.MakeExecutor(2), {}).code(),
            StatusCode::kUnavailable);
  absl::Status pinned;
  bench.engine().PinAsync({.name = "q", .tokens = MakeTokens(3), .owner = ""},
                          [&](const absl::StatusOr<PrefixInfo>& info) { pinned = info.status(); });
  EXPECT_EQ(pinned.code(), StatusCode::kUnavailable);
  bench.engine().Drain(absl::InfiniteFuture());  // returns
}

TEST(EngineStopTest, TheDestructorTellsEverySink) {
  auto record = std::make_shared<Record>();
  RequestHandle handle;  // outlives the engine
  {
    Bench bench;
    auto submitted =
        bench.engine().Submit(MakeRequest(10, 50), std::make_unique<RecordingSink>(record, 1));
    ASSERT_TRUE(submitted.ok());
    handle = *std::move(submitted);
    bench.engine().Step();
  }
  ExpectShutDown(*record);
  handle.Cancel();
}

}  // namespace
}  // namespace intactkv
