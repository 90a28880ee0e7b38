// n > 1: choices of one request share full blocks once the first has prefilled.
#include <deque>

#include "tests/unit/engine/sched/scheduler_fixture.h"

namespace intactkv {
namespace {

GenerationRequest Choices(int prompt, int n) {
  GenerationRequest request = SchedulerBench::Request(1, prompt, 4);
  request.n = n;
  request.sampling.seed = 70;
  return request;
}

TEST(SchedulerChoicesTest, OthersWaitForTheFirstPrefillAndShareItsFullBlocks) {
  SchedulerBench bench({.max_tokens_per_step = 64});
  ASSERT_TRUE(bench.Add(1, Choices(97, 3)).ok());
  ASSERT_TRUE(bench.Add(2, 5, 4).ok());
  EXPECT_EQ(bench.scheduler().num_waiting(), 4);
  EXPECT_EQ(SchedulerBench::Ids(bench.Schedule()), (std::vector<uint64_t>{0}));
  bench.scheduler().AbandonStep();
  bench.Step();
  const StepPlan second = bench.Schedule();
  EXPECT_EQ(SchedulerBench::Ids(second), (std::vector<uint64_t>{0})) << "overtook the siblings";
  bench.Update(second);
  const StepPlan third = bench.Schedule();
  EXPECT_EQ(SchedulerBench::Ids(third), (std::vector<uint64_t>{0, 1, 2, 3}));
  for (size_t i : {1u, 2u}) {
    const PlanSequence& sibling = third.sequences[i];
    EXPECT_EQ(sibling.num_rows, 1);
    for (int32_t b = 0; b < 3; ++b) {
      EXPECT_EQ(third.stored_entries[static_cast<size_t>(sibling.stored_begin + b)],
                third.stored_entries[static_cast<size_t>(third.sequences[0].stored_begin + b)]);
    }
  }
  EXPECT_EQ(third.samples[0].params.seed, 70u);
  EXPECT_EQ(third.samples[1].params.seed, 71u);
  EXPECT_EQ(third.samples[2].params.seed, 72u);
  bench.Update(third);
  EXPECT_EQ(bench.RunToEnd()[1], 3 * 4 - 4);
  bench.ExpectAllBack();
}

TEST(SchedulerChoicesTest, WithNoFullBlockToShareNobodyWaits) {
  for (const int prompt : {1, 32, 33}) {
    SchedulerBench bench;
    ASSERT_TRUE(bench.Add(1, Choices(prompt, 3)).ok());
    const StepPlan plan = bench.Schedule();
    EXPECT_EQ(plan.sequences.size(), prompt < 33 ? (prompt == 1 ? 3u : 2u) : 1u) << prompt;
    bench.Update(plan);
    EXPECT_GT(bench.RunToEnd()[1], 0);
  }
}

// A queue of long prompts with many choices must not hold them n times.
TEST(SchedulerChoicesTest, OnlyAdmittedChoicesHaveTheirOwnCopyOfThePrompt) {
  SchedulerBench bench({.max_running = 1});
  GenerationRequest request = SchedulerBench::Request(1, 40, 2);
  request.n = 3;
  ASSERT_TRUE(bench.Add(1, request).ok());
  const std::deque<Sequence>& choices = bench.scheduler().Find(RequestId(1))->sequences;
  for (const Sequence& choice : choices) {
    EXPECT_TRUE(choice.tokens.empty());
    EXPECT_EQ(choice.num_tokens(), 40);
    EXPECT_EQ(choice.num_generated(), 0);
  }
  bench.Step();
  EXPECT_EQ(choices[0].num_generated(), 1);
  EXPECT_EQ(choices[0].tokens.size(), 41u);
  EXPECT_TRUE(choices[1].tokens.empty()) << "it still waits";
  EXPECT_EQ(bench.RunToEnd().at(1), 5) << "six in all";
  bench.ExpectAllBack();
}

TEST(SchedulerChoicesTest, TheRequestEndsWithItsLastChoice) {
  SchedulerBench bench;
  GenerationRequest request = Choices(3, 2);
  ASSERT_TRUE(bench.Add(1, request).ok());
  for (int i = 1; i <= 4; ++i) {
    const std::vector<RequestUpdate> updates = bench.Step();
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].events.size(), 2u);
    EXPECT_EQ(updates[0].done, i == 4);
  }
  bench.ExpectAllBack();
}

TEST(SchedulerChoicesTest, CancellingTakesAllChoicesInWhateverState) {
  SchedulerBench bench({.max_running = 2});
  ASSERT_TRUE(bench.Add(1, Choices(40, 4)).ok());
  bench.Step();
  bench.Step();
  EXPECT_GT(bench.scheduler().num_running(), 1);
  EXPECT_GT(bench.scheduler().num_waiting(), 0);
  EXPECT_TRUE(bench.scheduler().Remove(RequestId(1)).has_value());
  EXPECT_FALSE(bench.scheduler().has_work());
  bench.ExpectAllBack();
}

TEST(SchedulerChoicesTest, OneSickChoiceFailsTheRequest) {
  SchedulerBench bench;
  ASSERT_TRUE(bench.Add(1, Choices(3, 3)).ok());
  const std::vector<RequestUpdate> updates = bench.Update(bench.Schedule(), /*non_finite=*/1);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].done && updates[0].non_finite);
  bench.ExpectAllBack();
}

}  // namespace
}  // namespace intactkv
