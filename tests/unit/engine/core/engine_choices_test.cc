// n > 1: the choices share the prompt's full blocks, draw with their own seeds, end on their own,
// and are one request to the outside.
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

TEST(EngineChoicesTest, ShareTheFullBlocksOfThePrompt) {
  Bench bench;
  GenerationRequest request = MakeRequest(70, 6);  // two full blocks, six tokens in the third
  request.n = 4;
  request.sampling.temperature = 1;
  const auto record = bench.Submit(request);
  int steps = 0;
  while (bench.engine().Stats().running < 4 && ++steps < 20) bench.engine().Step();
  ASSERT_EQ(bench.engine().Stats().running, 4);
  EXPECT_EQ(bench.Pages(PageClass::kStored).owned, 2 + 4);
  EXPECT_EQ(bench.Pages(PageClass::kHot).owned, 4);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 0);
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.prefix_hit_tokens, 3 * 64);
  // Prompt once, its last page four times, and all answer tokens but each choice's last.
  EXPECT_EQ(stats.computed_tokens, 64 + 4 * 6 + 4 * 5);
  EXPECT_EQ(record->info.usage.prompt_tokens, 70);
  EXPECT_EQ(record->info.usage.completion_tokens, 24);
  EXPECT_EQ(record->info.usage.cached_tokens, 0) << "counted at the first admission alone";
  EXPECT_EQ(stats.requests_accepted, 1);
  bench.ExpectNothingOwned();
}

TEST(EngineChoicesTest, WithoutAPrefixCacheEachHasItsOwnBlocks) {
  EngineCoreOptions options = SmallOptions();
  options.prefix_cache = false;
  options.max_tokens_per_step = 200;
  Bench bench(options);
  GenerationRequest request = MakeRequest(70, 6);
  request.n = 2;
  const auto record = bench.Submit(request);
  bench.engine().Step();
  EXPECT_EQ(bench.Pages(PageClass::kStored).owned, 2 * 3);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 0);
  EXPECT_EQ(bench.engine().Stats().prefix_hit_tokens, 0);
}

TEST(EngineChoicesTest, SharePinnedBlocksToo) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  GenerationRequest request = MakeRequest(80, 5);
  request.n = 3;
  request.sampling.temperature = 1;
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 40);
  EXPECT_EQ(record->info.usage.pinned_tokens, 40);
  EXPECT_EQ(record->info.usage.cached_tokens, 40);
  EXPECT_EQ(bench.engine().ListPrefixes().at(0).num_matches, 1) << "one request, one match";
}

TEST(EngineChoicesTest, SeedsDifferByChoiceAndGreedyDoesNot) {
  Bench bench;
  GenerationRequest sampled = MakeRequest(10, 20);
  sampled.n = 3;
  sampled.sampling.temperature = 1;
  sampled.sampling.seed = 5;
  GenerationRequest greedy = sampled;
  greedy.sampling.temperature = 0;
  const auto a = bench.Submit(sampled);
  const auto b = bench.Submit(greedy);
  bench.RunUntilIdle();
  EXPECT_NE(a->tokens[0], a->tokens[1]);
  EXPECT_NE(a->tokens[1], a->tokens[2]);
  EXPECT_EQ(b->tokens[0], b->tokens[1]);
  EXPECT_EQ(b->tokens[1], b->tokens[2]);
  // Choice k is the answer of a request with seed + k.
  GenerationRequest alone = sampled;
  alone.n = 1;
  alone.sampling.seed = 7;
  const auto c = bench.Submit(alone);
  bench.RunUntilIdle();
  EXPECT_EQ(c->tokens[0], a->tokens[2]);
}

TEST(EngineChoicesTest, EachEndsForItsOwnReason) {
  Bench bench;
  GenerationRequest request = MakeRequest(10, 20);
  request.n = 2;
  request.sampling.temperature = 1;
  // A token that only choice 1 draws ends only choice 1.
  const std::vector<TokenId> first = OracleTokens(request, 0, 0, bench.model());
  const std::vector<TokenId> second = OracleTokens(request, 1, 0, bench.model());
  ASSERT_EQ(std::count(first.begin(), first.end(), second[4]), 0);
  request.stop_token_ids = {second[4]};
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  EXPECT_EQ(record->num_finishes, 1);
  EXPECT_EQ(record->reasons[0], FinishReason::kLength);
  EXPECT_EQ(record->reasons[1], FinishReason::kStop);
  EXPECT_EQ(record->tokens[0].size(), 20u);
  EXPECT_EQ(record->tokens[1].size(), 5u);
  EXPECT_EQ(record->tokens[1].back(), second[4]) << "the stop token is reported";
  EXPECT_EQ(record->info.usage.completion_tokens, 25);
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kLength)], 1)
      << "a request is counted under its first choice's reason";
}

TEST(EngineChoicesTest, MoreChoicesThanSlotsRunInTurn) {
  EngineCoreOptions options = SmallOptions();
  options.max_running = 2;
  Bench bench(options);
  GenerationRequest request = MakeRequest(40, 3);
  request.n = 7;
  request.sampling.temperature = 1;
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 0);
  EXPECT_EQ(bench.executor().max_batch(), 2);
}

}  // namespace
}  // namespace intactkv
