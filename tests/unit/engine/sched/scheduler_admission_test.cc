// Who gets in, when, and how one gets out again.
#include "tests/unit/engine/sched/scheduler_fixture.h"

namespace intactkv {
namespace {

TEST(SchedulerAdmissionTest, WhatCanNeverFitIsRefusedAtTheEdge) {
  // 4 blocks hold 128 tokens; the last generated token is never written.
  SchedulerBench bench({.num_stored = 4});
  EXPECT_TRUE(bench.Add(1, 100, 29).ok());
  const absl::Status refused = bench.Add(2, 100, 30);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bench.scheduler().num_waiting(), 1);
  EXPECT_EQ(bench.RunToEnd()[1], 29);
  bench.ExpectAllBack();
}

TEST(SchedulerAdmissionTest, TheTokenBudgetIsKeptAndOldestGoFirst) {
  SchedulerBench bench({.num_stored = 32, .max_tokens_per_step = 50});
  ASSERT_TRUE(bench.Add(1, 40, 5).ok());
  ASSERT_TRUE(bench.Add(2, 40, 5).ok());
  const StepPlan first = bench.Schedule();
  ASSERT_EQ(first.sequences.size(), 2u);
  EXPECT_EQ(first.sequences[0].num_rows, 40);
  EXPECT_EQ(first.sequences[1].num_rows, 10);  // a chunk that ends inside a page
  bench.Update(first);
  const StepPlan second = bench.Schedule();
  EXPECT_EQ(second.sequences[0].num_rows, 1);
  EXPECT_EQ(second.sequences[1].num_rows, 30);
  bench.Update(second);
}

TEST(SchedulerAdmissionTest, ASmallRequestNeverOvertakesALargeOne) {
  SchedulerBench bench({.num_stored = 4, .max_tokens_per_step = 200, .prefix_cache = false});
  ASSERT_TRUE(bench.Add(1, 60, 10).ok());
  ASSERT_TRUE(bench.Add(2, 100, 10).ok());
  ASSERT_TRUE(bench.Add(3, 2, 2).ok());
  EXPECT_EQ(SchedulerBench::Ids(bench.Schedule()), (std::vector<uint64_t>{0}));
  EXPECT_EQ(bench.scheduler().num_waiting(), 2);
  bench.scheduler().AbandonStep();
}

TEST(SchedulerAdmissionTest, MaxRunningIsKept) {
  SchedulerBench bench({.max_running = 2});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(bench.Add(id, 3, 3).ok());
  bench.Step();
  EXPECT_EQ(bench.scheduler().num_running(), 2);
  EXPECT_EQ(bench.scheduler().newly_admitted(),
            (std::vector<RequestId>{RequestId(1), RequestId(2)}));
  bench.RunToEnd();
  bench.ExpectAllBack();
}

TEST(SchedulerAdmissionTest, CancellingWorksInEveryStateAndOnlyOnce) {
  SchedulerBench bench({.num_stored = 6, .max_running = 2, .max_tokens_per_step = 40});
  ASSERT_TRUE(bench.Add(1, 100, 40).ok());
  ASSERT_TRUE(bench.Add(2, 10, 5).ok());
  ASSERT_TRUE(bench.Add(3, 10, 5).ok());
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(3)).has_value());  // waiting
  bench.Step();
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(1)).has_value());  // in prefill
  EXPECT_FALSE(bench.scheduler().Remove(RequestId(1)).has_value());
  bench.Step();
  bench.Step();
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(2)).has_value());  // in decode
  EXPECT_FALSE(bench.scheduler().Remove(RequestId(7)).has_value());
  EXPECT_FALSE(bench.scheduler().has_work());
  bench.ExpectAllBack();
}

TEST(SchedulerAdmissionTest, DeadlinesExpireAtTheirTime) {
  SchedulerBench bench;
  const absl::Time t = absl::UnixEpoch() + absl::Seconds(5);
  GenerationRequest request = SchedulerBench::Request(1, 3, 3);
  request.deadline = t;
  ASSERT_TRUE(bench.Add(1, request).ok());
  ASSERT_TRUE(bench.Add(2, 3, 3).ok());
  EXPECT_TRUE(bench.scheduler().Expired(t - absl::Nanoseconds(1)).empty());
  EXPECT_EQ(bench.scheduler().Expired(t), (std::vector<RequestId>{RequestId(1)}));
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(1)).has_value());
  EXPECT_TRUE(bench.scheduler().Expired(absl::InfiniteFuture()).empty());
}

TEST(SchedulerAdmissionTest, NothingIsPlannedWhenOthersHoldThePool) {
  SchedulerBench bench({.num_stored = 2});
  BlockTable thief;
  ASSERT_TRUE(bench.stored().TryExtend(thief, 2));
  ASSERT_TRUE(bench.Add(1, 3, 3).ok());
  EXPECT_TRUE(bench.Schedule().empty());
  EXPECT_EQ(bench.scheduler().Oldest(), RequestId(1));
  thief.clear();
  EXPECT_FALSE(bench.Schedule().empty());
  bench.scheduler().AbandonStep();
}

TEST(SchedulerAdmissionTest, WhilePausedOnlyAdmittedRequestsGoOn) {
  SchedulerBench bench({.max_running = 1});
  ASSERT_TRUE(bench.Add(1, 3, 3).ok());
  ASSERT_TRUE(bench.Add(2, 3, 3).ok());
  bench.Step();
  bench.scheduler().PauseAdmission(true);
  EXPECT_TRUE(bench.scheduler().HasAdmittedWork());
  EXPECT_EQ(bench.scheduler().NeverAdmitted(), (std::vector<RequestId>{RequestId(2)}));
  bench.Step();
  bench.Step();
  EXPECT_FALSE(bench.scheduler().HasAdmittedWork());
  EXPECT_TRUE(bench.Schedule().empty());
  bench.scheduler().PauseAdmission(false);
  EXPECT_EQ(bench.RunToEnd()[2], 3);
}

TEST(SchedulerAdmissionTest, AHitIsTakenAtAdmissionAndCounted) {
  SchedulerBench bench({.max_tokens_per_step = 200});
  GenerationRequest request = SchedulerBench::Request(1, 97, 1);
  ASSERT_TRUE(bench.Add(1, request).ok());
  bench.Step();
  ASSERT_TRUE(bench.Add(2, request).ok());
  const StepPlan plan = bench.Schedule();
  EXPECT_EQ(plan.sequences[0].num_rows, 1);
  EXPECT_EQ(plan.rows[0].position, 96);
  EXPECT_EQ(plan.sequences[0].num_stored, 4);
  const std::vector<RequestUpdate> updates = bench.Update(plan);
  EXPECT_EQ(updates[0].progress.usage.cached_tokens, 96);
  EXPECT_EQ(bench.scheduler().counters().prefix_hit_tokens, 96);
  EXPECT_EQ(bench.scheduler().counters().prefix_queries_tokens, 2 * 97);
}

}  // namespace
}  // namespace intactkv
