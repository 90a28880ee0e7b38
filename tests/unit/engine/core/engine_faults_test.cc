// What goes wrong in a step hurts only whom it must: a non-finite value its own request, a failed
// step the requests in it.
#include <gmock/gmock.h>

#include "engine/base/json_log.h"
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

using absl::StatusCode;

TEST(EngineFaultsTest, ANonFiniteValueFailsItsOwnRequest) {
  Bench bench;
  const GenerationRequest a = MakeRequest(10, 12);
  const GenerationRequest b = MakeRequest(12, 12, 300);
  const GenerationRequest c = MakeRequest(14, 12, 600);
  const auto healthy = bench.Submit(a);
  const auto sick = bench.Submit(b);
  const auto other = bench.Submit(c);
  for (int i = 0; i < 3; ++i) bench.engine().Step();
  ASSERT_EQ(bench.executor().max_batch(), 3);
  bench.executor().faults().non_finite.insert(SequenceId(1));
  bench.engine().Step();
  EXPECT_EQ(sick->num_finishes, 1);
  EXPECT_EQ(sick->info.status.code(), StatusCode::kInternal);
  EXPECT_EQ(sick->tokens[0].size(), 3u) << "the token of the bad step is not one";
  EXPECT_EQ(sick->info.usage.completion_tokens, 3);
  EXPECT_EQ(bench.Pages(PageClass::kHot).owned, 2) << "its pages are back in the same step";
  bench.RunUntilIdle();
  bench.ExpectAnswer(a, *healthy, 0);
  bench.ExpectAnswer(c, *other, 0);
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.non_finite_requests, 1);
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kError)], 1);
  bench.ExpectNothingOwned();
}

TEST(EngineFaultsTest, APageOfABadStepIsNeverPublished) {
  Bench bench;
  const GenerationRequest request = MakeRequest(80, 6);  // 48 rows, then 32
  bench.executor().faults().non_finite.insert(SequenceId(0));
  const auto sick = bench.Submit(request);
  bench.RunUntilIdle();
  EXPECT_EQ(sick->info.status.code(), StatusCode::kInternal);
  EXPECT_EQ(bench.Pages(PageClass::kStored).free, 32) << "nothing is cached";
  const auto second = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *second, 0);
  EXPECT_EQ(second->info.usage.cached_tokens, 0);
}

TEST(EngineFaultsTest, PagesOfEarlierGoodStepsStayUsable) {
  Bench bench;
  const GenerationRequest request = MakeRequest(80, 6);
  const auto sick = bench.Submit(request);
  bench.engine().Step();  // page 0 is full and published
  bench.executor().faults().non_finite.insert(SequenceId(0));
  bench.engine().Step();  // fills page 1 with garbage
  ASSERT_EQ(sick->info.status.code(), StatusCode::kInternal);
  const auto second = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *second, 0);
  EXPECT_EQ(second->info.usage.cached_tokens, 32);
}

// One choice goes bad: the request fails, and its usage counts what was delivered.
TEST(EngineFaultsTest, ANonFiniteChoiceFailsTheWholeRequest) {
  Bench bench;
  GenerationRequest request = MakeRequest(10, 12);
  request.n = 3;
  const auto record = bench.Submit(request);
  const GenerationRequest other = MakeRequest(12, 12, 300);
  const auto healthy = bench.Submit(other);
  for (int i = 0; i < 3; ++i) bench.engine().Step();
  ASSERT_EQ(bench.executor().max_batch(), 4);
  bench.executor().faults().non_finite.insert(SequenceId(1));
  bench.engine().Step();
  EXPECT_EQ(record->num_finishes, 1);
  EXPECT_EQ(record->info.status.code(), StatusCode::kInternal);
  size_t delivered = 0;
  for (const auto& tokens : record->tokens) delivered += tokens.size();
  EXPECT_EQ(delivered, 9u);
  EXPECT_EQ(record->info.usage.completion_tokens, 9);
  EXPECT_EQ(bench.Pages(PageClass::kHot).owned, 1);
  bench.RunUntilIdle();
  bench.ExpectAnswer(other, *healthy, 0);
  bench.ExpectNothingOwned();
}

TEST(EngineFaultsTest, AFailedStepEndsTheRequestsInItAndNoOther) {
  EngineCoreOptions options = SmallOptions();
  options.max_running = 2;
  Bench bench(options);
  const GenerationRequest request = MakeRequest(14, 12, 600);
  const auto a = bench.Submit(MakeRequest(10, 12));
  const auto b = bench.Submit(MakeRequest(12, 12, 300));
  const auto waiting = bench.Submit(request);
  bench.engine().Step();
  bench.executor().faults().fail_steps = 1;
  ASSERT_TRUE(FlushLog(absl::InfiniteDuration()));
  testing::internal::CaptureStderr();
  bench.engine().Step();
  ASSERT_TRUE(FlushLog(absl::InfiniteDuration()));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, testing::ContainsRegex("\"level\":\"error\",\"event\":\"step_failed\"[^\n]*"
                                          "\"sequences\":2,[^\n]*\"message\":\"injected"))
      << "one line says why";
  EXPECT_EQ(std::ranges::count(log, '\n'), 1);
  EXPECT_EQ(bench.engine().Stats().step_failures, 1);
  for (const auto& record : {a, b}) {
    EXPECT_EQ(record->num_finishes, 1);
    EXPECT_EQ(record->info.status.code(), StatusCode::kInternal);
    EXPECT_EQ(record->tokens[0].size(), 1u);
  }
  EXPECT_EQ(waiting->num_finishes, 0);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *waiting, 0);
  EXPECT_EQ(bench.engine().Stats().non_finite_requests, 0);
  EXPECT_EQ(bench.engine().Stats().step_failures, 1);
  bench.ExpectNothingOwned();
}

TEST(EngineFaultsTest, NothingThatAFailedStepWroteIsHitLater) {
  Bench bench;
  const GenerationRequest request = MakeRequest(80, 6);
  bench.executor().faults().fail_steps = 1;
  const auto failed = bench.Submit(request);
  bench.engine().Step();
  ASSERT_EQ(failed->num_finishes, 1);
  EXPECT_EQ(bench.Pages(PageClass::kStored).free, 32);
  const auto second = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *second, 0);
  EXPECT_EQ(second->info.usage.cached_tokens, 0);
}

// Each prefix build of a pin and each private pin of recompute_prefix_for_test runs in the engine's
// thread: its failure is the request's own.
TEST(EngineFaultsTest, AFailedPrivatePinFailsItsRequest) {
  EngineCoreOptions options = SmallOptions();
  options.recompute_prefix_for_test = true;
  Bench bench(options);
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  bench.FailBuilds(1);
  const GenerationRequest request = MakeRequest(50, 4);
  const auto bad = bench.Submit(request);
  const auto good = bench.Submit(request);
  bench.RunUntilIdle();
  EXPECT_EQ(bad->info.status.code(), StatusCode::kInternal);
  bench.ExpectAnswer(request, *good, 40);
  bench.ExpectNothingOwned();
}

}  // namespace
}  // namespace intactkv
