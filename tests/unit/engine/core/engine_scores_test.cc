// score_prompt: the log probabilities of the prompt's own tokens, whatever the load, each told
// once.
#include <numeric>

#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

GenerationRequest ScoringRequest(int prompt, int max_new_tokens, int32_t first = 1) {
  GenerationRequest request = MakeRequest(prompt, max_new_tokens, first);
  request.score_prompt = true;
  request.sampling.num_logprobs = 0;
  return request;
}

TEST(EngineScoresTest, EachTokenAfterTheFirst) {
  for (const int prompt : {1, 2, 32, 33, 100}) {
    SCOPED_TRACE(prompt);
    Bench bench;
    const GenerationRequest request = ScoringRequest(prompt, 3);
    const auto record = bench.Submit(request);
    bench.RunUntilIdle();
    bench.ExpectAnswer(request, *record, 0);
    EXPECT_EQ(record->prompt.size(), static_cast<size_t>(prompt) - 1);
    EXPECT_EQ(record->info.usage.completion_tokens, 3);
    const Histogram gaps = bench.engine().Stats().itl_seconds;
    EXPECT_EQ(std::accumulate(gaps.counts.begin(), gaps.counts.end(), int64_t{0}), 2)
        << "a token of the prompt is no generated one";
    bench.ExpectNothingOwned();
  }
}

TEST(EngineScoresTest, RowsBelowCReadThePinAndKeepIt) {
  for (const int pin : {1, 31, 40, 64}) {
    SCOPED_TRACE(pin);
    Bench bench;
    ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(pin), .owner = ""}).ok());
    const std::string checksum = bench.engine().ListPrefixes().at(0).checksum;
    for (const int prompt : {pin, pin + 1, pin + 50}) {
      const int c = std::min(pin, prompt - 1);
      const GenerationRequest request = ScoringRequest(prompt, 4);
      const int64_t before = bench.executor().num_pinned_rows();
      const auto record = bench.Submit(request);
      bench.RunUntilIdle();
      bench.ExpectAnswer(request, *record, c);
      EXPECT_EQ(record->info.usage.pinned_tokens, c);
      EXPECT_EQ(bench.executor().num_pinned_rows() - before, c);
    }
    EXPECT_EQ(bench.engine().ListPrefixes().at(0).checksum, checksum);
  }
}

TEST(EngineScoresTest, NoPrivateHitIsTakenAndOthersMayHitWhatItComputed) {
  Bench bench;
  const auto first = bench.Submit(MakeRequest(100, 2));
  bench.RunUntilIdle();
  const GenerationRequest scoring = ScoringRequest(100, 2);
  const auto scored = bench.Submit(scoring);
  bench.RunUntilIdle();
  bench.ExpectAnswer(scoring, *scored, 0);
  EXPECT_EQ(bench.engine().Stats().prefix_hit_tokens, 0);
  EXPECT_EQ(scored->info.usage.cached_tokens, 0);
  const auto last = bench.Submit(MakeRequest(100, 2));
  bench.RunUntilIdle();
  EXPECT_EQ(bench.engine().Stats().prefix_hit_tokens, 96);
}

TEST(EngineScoresTest, PreemptedItTellsNothingTwice) {
  for (const int pin : {0, 40}) {
    SCOPED_TRACE(pin);
    EngineCoreOptions options = SmallOptions();
    options.num_stored_blocks = 6;
    options.max_scored_rows = 9;
    Bench bench(options);
    if (pin > 0) {
      ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(pin), .owner = ""}).ok());
    }
    const GenerationRequest old = MakeRequest(60, 90, 500);
    const GenerationRequest young = ScoringRequest(pin + 60, 40);
    const auto old_record = bench.Submit(old);
    const auto young_record = bench.Submit(young);
    bench.RunUntilIdle();
    EXPECT_GT(young_record->info.num_preemptions, 0);
    bench.ExpectAnswer(old, *old_record, 0);
    bench.ExpectAnswer(young, *young_record, pin);
    bench.ExpectNothingOwned();
  }
}

TEST(EngineScoresTest, ScoredRowsOfAStepAreBoundedAndHoldUpNobodyElse) {
  EngineCoreOptions options = SmallOptions();
  options.max_scored_rows = 5;
  Bench bench(options);
  const GenerationRequest one = ScoringRequest(100, 2);
  const GenerationRequest two = ScoringRequest(90, 2, 300);
  const GenerationRequest plain = MakeRequest(20, 3, 600);
  const auto first = bench.Submit(one);
  const auto second = bench.Submit(two);
  const auto third = bench.Submit(plain);
  int steps = 0;
  while (third->num_finishes == 0 && ++steps < 50) bench.engine().Step();
  EXPECT_LT(steps, 10) << "an answer waited for others' prompts";
  EXPECT_EQ(first->prompt.size() % 5, 0u);
  EXPECT_GT(first->prompt.size(), 0u);
  EXPECT_TRUE(second->prompt.empty()) << "the older prompt takes all rows that may be scored";
  bench.RunUntilIdle();
  bench.ExpectAnswer(one, *first, 0);
  bench.ExpectAnswer(two, *second, 0);
  bench.ExpectAnswer(plain, *third, 0);
}

TEST(EngineScoresTest, ChoicesShareOneScoring) {
  for (const int pin : {0, 50}) {
    SCOPED_TRACE(pin);
    Bench bench;
    if (pin > 0) {
      ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(pin), .owner = ""}).ok());
    }
    GenerationRequest request = ScoringRequest(80, 5);
    request.n = 3;
    request.sampling.temperature = 1;
    const auto record = bench.Submit(request);
    bench.RunUntilIdle();
    bench.ExpectAnswer(request, *record, pin);
    EXPECT_EQ(bench.executor().num_pinned_rows(), pin);
    EXPECT_EQ(record->info.usage.completion_tokens, 15);
  }
}

TEST(EngineScoresTest, ASickPromptTellsNothingMore) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(20), .owner = ""}).ok());
  const auto record = bench.Submit(ScoringRequest(60, 4));
  bench.executor().faults().non_finite.insert(SequenceId(0));
  bench.RunUntilIdle();
  EXPECT_TRUE(record->prompt.empty());
  EXPECT_EQ(record->info.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(record->info.usage.completion_tokens, 0);
  bench.ExpectNothingOwned();
}

TEST(EngineScoresTest, WithoutLogProbabilitiesItIsRefused) {
  Bench bench;
  GenerationRequest request = ScoringRequest(10, 2);
  request.sampling.num_logprobs = -1;
  EXPECT_EQ(bench.TrySubmit(request).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace intactkv
