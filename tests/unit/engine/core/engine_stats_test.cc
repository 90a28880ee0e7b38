// Stats tell what happened, agree with the audit after every step, and the histograms are complete.
#include <gmock/gmock.h>

#include <numeric>

#include "engine/base/json_log.h"
#include "engine/core/engine_metrics.h"
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

// What the engine logs while `work` runs.
template <typename Work>
std::string LogOf(const Work& work) {
  EXPECT_TRUE(FlushLog(absl::InfiniteDuration()));
  testing::internal::CaptureStderr();
  work();
  EXPECT_TRUE(FlushLog(absl::InfiniteDuration()));
  return testing::internal::GetCapturedStderr();
}

TEST(EngineLogTest, OneLinePerRequestUnderItsOwnAndItsFrontEndsName) {
  EngineCoreOptions options = SmallOptions();
  options.log_requests = true;
  Bench bench(options);
  GenerationRequest named = MakeRequest(10, 2);
  named.request_id = "req-7";
  const std::string log = LogOf([&] {
    bench.Submit(named);
    bench.Submit(MakeRequest(10, 3, 500));
    bench.RunUntilIdle();
  });
  EXPECT_THAT(log, testing::ContainsRegex("\"event\":\"generation_done\",\"request_id\":\"req-7\","
                                          "\"id\":0,\"prompt_tokens\":10,\"tokens\":2,"));
  EXPECT_THAT(log, testing::ContainsRegex("\"event\":\"generation_done\",\"id\":1,"));
  EXPECT_EQ(std::ranges::count(log, '\n'), 2);
}

int64_t Count(const Histogram& histogram) {
  return std::accumulate(histogram.counts.begin(), histogram.counts.end(), int64_t{0});
}

void ExpectSamePages(const EngineStats& stats, const AuditReport& audit) {
  for (size_t i = 0; i < stats.pages.size(); ++i) {
    const PageCounts& a = stats.pages[i];
    const PageCounts& b = audit.pages[i];
    EXPECT_EQ(a.total, b.total);
    EXPECT_EQ(a.free, b.free);
    EXPECT_EQ(a.owned, b.owned);
    EXPECT_EQ(a.cached, b.cached);
    EXPECT_EQ(a.pinned, b.pinned);
    EXPECT_EQ(a.free + a.owned + a.cached + a.pinned, a.total);
    EXPECT_EQ(audit.unaccounted[i], 0);
  }
  for (const std::string& problem : audit.problems) ADD_FAILURE() << problem;
}

TEST(EngineStatsTest, AgreeWithTheAuditAfterEveryStep) {
  EngineCoreOptions options = SmallOptions();
  options.num_stored_blocks = 9;
  options.max_queue = 20;
  Bench bench(options);
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  std::vector<std::shared_ptr<Record>> records;
  for (int32_t i = 0; i < 16; ++i) {
    GenerationRequest request = MakeRequest(45 + 7 * i, 25, i % 3 == 0 ? 300 : 1);
    request.n = 1 + i % 2;
    records.push_back(bench.Submit(request));
  }
  int steps = 0;
  while (bench.engine().Step() && ++steps < 5'000) {
    if (steps == 20) bench.Cancel(7);
    const EngineStats stats = bench.engine().Stats();
    ExpectSamePages(stats, bench.engine().AuditNow());
    EXPECT_LE(stats.running, options.max_running);
    const int64_t finished =
        std::accumulate(stats.requests_finished.begin(), stats.requests_finished.end(), int64_t{0});
    EXPECT_EQ(Count(stats.e2e_seconds), finished);
    if (::testing::Test::HasFailure()) break;
  }
  const EngineStats stats = bench.engine().Stats();
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_GT(stats.evicted_blocks, 0);
  EXPECT_GT(stats.prefix_hit_tokens, 0);
  EXPECT_GT(stats.pinned_tokens, 0);
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kCancelled)], 1);
  for (const auto& record : records) EXPECT_EQ(record->num_finishes, 1);
}

TEST(EngineStatsTest, TokenCountsAreThoseOfTheUsages) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  std::vector<std::shared_ptr<Record>> records;
  for (int i = 0; i < 5; ++i) {
    records.push_back(bench.Submit(MakeRequest(100 + i, 3 + i)));
    bench.RunUntilIdle();
  }
  RequestUsage sum;
  for (const auto& record : records) {
    const RequestUsage& usage = record->info.usage;
    sum.prompt_tokens += usage.prompt_tokens;
    sum.completion_tokens += usage.completion_tokens;
    sum.cached_tokens += usage.cached_tokens;
    sum.pinned_tokens += usage.pinned_tokens;
  }
  EXPECT_EQ(records[0]->info.usage.cached_tokens, 40);
  EXPECT_EQ(records[1]->info.usage.cached_tokens, 40 + 32) << "c, and one full private block";
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.prompt_tokens, sum.prompt_tokens);
  EXPECT_EQ(stats.generated_tokens, sum.completion_tokens);
  EXPECT_EQ(stats.cached_tokens, sum.cached_tokens);
  EXPECT_EQ(stats.pinned_tokens, sum.pinned_tokens);
  EXPECT_EQ(stats.prefix_hit_tokens, sum.cached_tokens - sum.pinned_tokens);
  EXPECT_EQ(stats.computed_tokens, bench.executor().num_rows());
}

TEST(EngineStatsTest, TimesComeFromTheClock) {
  EngineCoreOptions options = SmallOptions();
  options.max_running = 1;
  Bench bench(options);
  const auto first = bench.Submit(MakeRequest(10, 3));
  const auto second = bench.Submit(MakeRequest(10, 1, 500));
  const auto step = [&] {
    bench.engine().Step();
    bench.clock().Advance(absl::Milliseconds(30));
  };
  step();  // first's first token at 0
  step();  // 30
  step();  // 60, the last
  step();  // second is admitted and answered at 90
  ASSERT_EQ(second->num_finishes, 1);
  EXPECT_EQ(first->info.queue_time, absl::ZeroDuration());
  EXPECT_EQ(first->info.first_token, absl::ZeroDuration());
  EXPECT_EQ(second->info.queue_time, absl::Milliseconds(90));
  EXPECT_EQ(second->info.first_token, absl::Milliseconds(90));
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(Count(stats.ttft_seconds), 2);
  EXPECT_EQ(Count(stats.itl_seconds), 2) << "tokens after each choice's first";
  EXPECT_NEAR(stats.itl_seconds.sum, 0.06, 1e-9);
  EXPECT_NEAR(stats.queue_seconds.sum, 0.09, 1e-9);
  EXPECT_NEAR(stats.e2e_seconds.sum, 0.06 + 0.09, 1e-9);
  EXPECT_EQ(Count(stats.batch_rows), stats.steps);
  EXPECT_EQ(stats.batch_rows.sum, static_cast<double>(stats.computed_tokens));
}

TEST(EngineStatsTest, AnIdleStepDoesNothing) {
  Bench bench;
  EXPECT_FALSE(bench.engine().Step());
  EXPECT_FALSE(bench.engine().Step());
  EXPECT_EQ(bench.engine().Stats().steps, 0);
}

TEST(EngineMetricsTest, ObserveFillsTheBucketWhoseBoundIsNotBelow) {
  Histogram histogram;
  histogram.bounds = {1, 2};
  histogram.counts = {0, 0, 0};
  for (const double value : {0.0, 1.0, 1.5, 2.0, 2.1, 50.0}) Observe(histogram, value);
  EXPECT_EQ(histogram.counts, (std::vector<int64_t>{2, 2, 2}));
  EXPECT_EQ(histogram.sum, 56.6);
}

TEST(EngineMetricsTest, EveryHistogramHasAscendingBoundsAndAnOverflow) {
  const EngineStats stats = MakeEmptyStats();
  for (const Histogram* h : {&stats.ttft_seconds, &stats.itl_seconds, &stats.queue_seconds,
                             &stats.e2e_seconds, &stats.batch_rows}) {
    EXPECT_FALSE(h->bounds.empty());
    EXPECT_TRUE(std::is_sorted(h->bounds.begin(), h->bounds.end(), std::less_equal<>()));
    EXPECT_EQ(h->counts.size(), h->bounds.size() + 1);
  }
}

TEST(EngineMetricsTest, AFailureIsCountedByItsStatusElseByTheChoicesOwnReason) {
  EXPECT_EQ(ReasonOf(absl::OkStatus(), FinishReason::kStop), FinishReason::kStop);
  EXPECT_EQ(ReasonOf(absl::OkStatus(), FinishReason::kLength), FinishReason::kLength);
  EXPECT_EQ(ReasonOf(absl::CancelledError(""), FinishReason::kLength), FinishReason::kCancelled);
  EXPECT_EQ(ReasonOf(absl::InternalError(""), FinishReason::kStop), FinishReason::kError);
  EXPECT_EQ(ReasonOf(absl::DeadlineExceededError(""), FinishReason::kNone), FinishReason::kError);
}

}  // namespace
}  // namespace intactkv
