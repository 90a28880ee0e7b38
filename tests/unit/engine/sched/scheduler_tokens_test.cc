// What tokens mean: how a sequence ends, when, and who is told.
#include "tests/unit/engine/sched/scheduler_fixture.h"

namespace intactkv {
namespace {

TEST(SchedulerTokensTest, EndsAtItsLength) {
  for (const int max_new : {1, 2, 40}) {
    SchedulerBench bench;
    ASSERT_TRUE(bench.Add(1, 10, max_new).ok());
    std::vector<TokenEvent> events;
    while (bench.scheduler().has_work()) {
      for (RequestUpdate& update : bench.Step()) {
        events.insert(events.end(), update.events.begin(), update.events.end());
        EXPECT_EQ(update.done, static_cast<int>(events.size()) == max_new);
        if (update.done) {
          EXPECT_EQ(update.progress.usage.completion_tokens, max_new);
        }
      }
    }
    ASSERT_EQ(static_cast<int>(events.size()), max_new);
    for (int i = 0; i < max_new; ++i) {
      const TokenEvent& event = events[static_cast<size_t>(i)];
      EXPECT_EQ(event.token.token, TokenId(900'000 + i));
      EXPECT_EQ(event.finish, i + 1 == max_new ? FinishReason::kLength : FinishReason::kNone);
    }
    bench.ExpectAllBack();
  }
}

TEST(SchedulerTokensTest, AStopIdEndsItAndWinsOverLength) {
  for (const bool ignore_eos : {false, true}) {
    SchedulerBench bench;
    GenerationRequest request = SchedulerBench::Request(1, 10, 3);
    request.stop_token_ids = {TokenId(5), TokenId(900'002)};
    request.ignore_eos = ignore_eos;
    ASSERT_TRUE(bench.Add(1, request).ok());
    bench.Step();
    bench.Step();
    const std::vector<RequestUpdate> last = bench.Step();
    ASSERT_EQ(last.size(), 1u);
    EXPECT_EQ(last[0].events[0].finish, ignore_eos ? FinishReason::kLength : FinishReason::kStop);
    EXPECT_EQ(last[0].progress.finish, last[0].events[0].finish);
    EXPECT_FALSE(bench.scheduler().has_work());
  }
}

TEST(SchedulerTokensTest, ANonFiniteValueFailsItsRequestAloneAndPublishesNothing) {
  SchedulerBench bench({.max_tokens_per_step = 80});
  ASSERT_TRUE(bench.Add(1, 40, 8).ok());
  ASSERT_TRUE(bench.Add(2, 40, 8).ok());
  const std::vector<RequestUpdate> updates = bench.Update(bench.Schedule(), /*non_finite=*/0);
  ASSERT_EQ(updates.size(), 2u);
  EXPECT_TRUE(updates[0].non_finite);
  EXPECT_TRUE(updates[0].done);
  EXPECT_TRUE(updates[0].events.empty());
  EXPECT_FALSE(updates[1].done);
  EXPECT_EQ(updates[1].events.size(), 1u);
  EXPECT_EQ(bench.manager().prefix_cache()->num_entries(), 1);  // the healthy one's block
  EXPECT_EQ(bench.RunToEnd()[2], 7);
  bench.ExpectAllBack();
}

TEST(SchedulerTokensTest, APrefixBuildEndsWhenAllIsComputed) {
  for (const int n : {1, 31, 32, 33, 65}) {
    SchedulerBench bench({.max_tokens_per_step = 7, .prefix_cache = false});
    NewRequest build{.id = RequestId(1), .build_prefix = true};
    build.request.prompt = SchedulerBench::Tokens(n, 0);
    ASSERT_TRUE(bench.scheduler().Add(std::move(build)).ok());
    std::vector<RequestUpdate> updates;
    int steps = 0;
    for (; updates.empty(); ++steps) updates = bench.Step();
    EXPECT_EQ(steps, (n + 6) / 7);
    EXPECT_TRUE(updates[0].done);
    BlockTable blocks = bench.scheduler().TakeBuiltBlocks(RequestId(1));
    EXPECT_EQ(static_cast<int>(blocks.size()), BlocksFor(n));
    EXPECT_FALSE(bench.scheduler().has_work());
    EXPECT_EQ(bench.stored().num_free(), 16 - BlocksFor(n));
  }
}

TEST(SchedulerTokensTest, AFailedStepCanBeAbandoned) {
  SchedulerBench bench;
  ASSERT_TRUE(bench.Add(3, 10, 2).ok());
  ASSERT_TRUE(bench.Add(4, 10, 2).ok());
  (void)bench.Schedule();
  EXPECT_EQ(bench.scheduler().AbandonStep(), (std::vector<RequestId>{RequestId(3), RequestId(4)}));
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(3)).has_value());
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(4)).has_value());
  bench.ExpectAllBack();
}

}  // namespace
}  // namespace intactkv
