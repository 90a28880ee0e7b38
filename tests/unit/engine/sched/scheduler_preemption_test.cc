// Who gives way when blocks run out, and that work always moves.
#include <algorithm>

#include "engine/base/rng.h"
#include "tests/unit/engine/sched/scheduler_fixture.h"

namespace intactkv {
namespace {

int32_t PreemptionsOf(const Scheduler& scheduler, uint64_t id) {
  const RequestGroup* group = scheduler.Find(RequestId(id));
  return group == nullptr ? -1 : group->sequences.front().num_preemptions;
}

TEST(SchedulerPreemptionTest, TheYoungestGivesWayAndNothingIsSampledTwice) {
  // Each fits alone (3 blocks), three prompts fit (1 block each), growth does not: the oldest is
  // the first that needs a block, and both others could give theirs.
  SchedulerBench bench({.num_stored = 3, .prefix_cache = false});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(bench.Add(id, 30, 60).ok());
  std::map<uint64_t, std::vector<int64_t>> indices;
  while (bench.scheduler().counters().preemptions == 0) {
    const StepPlan plan = bench.Schedule();
    for (size_t i = 0; i < plan.samples.size(); ++i) {
      indices[plan.sequences[i].id.value].push_back(plan.samples[i].output_index);
    }
    bench.Update(plan);
  }
  EXPECT_EQ(PreemptionsOf(bench.scheduler(), 1), 0);
  EXPECT_EQ(PreemptionsOf(bench.scheduler(), 2), 0);
  EXPECT_EQ(PreemptionsOf(bench.scheduler(), 3), 1);
  EXPECT_EQ(bench.scheduler().num_waiting(), 1);
  std::map<uint64_t, int> tokens = bench.RunToEnd();
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(tokens[id] + static_cast<int>(indices[id - 1].size()), 60);
  }
  bench.ExpectAllBack();
}

TEST(SchedulerPreemptionTest, APreemptedSequenceKeepsItsPinAndFindsItsBlocksAgain) {
  BlockPool pinned(PageClass::kPinned, 2, 1);
  SchedulerBench bench({.num_stored = 5, .max_tokens_per_step = 200});
  ASSERT_TRUE(bench.Add(1, 30, 90).ok());
  NewRequest second{.id = RequestId(2), .request = SchedulerBench::Request(2, 110, 60)};
  second.pinned.num_tokens = 40;
  ASSERT_TRUE(pinned.TryExtend(second.pinned.blocks, 2));
  ASSERT_TRUE(bench.scheduler().Add(std::move(second)).ok());
  while (bench.scheduler().counters().preemptions == 0) {
    ASSERT_TRUE(bench.scheduler().has_work());
    bench.Step();
  }
  EXPECT_EQ(PreemptionsOf(bench.scheduler(), 2), 1);
  EXPECT_EQ(pinned.num_free(), 0);
  const RequestGroup* group = bench.scheduler().Find(RequestId(2));
  EXPECT_EQ(group->sequences.front().num_computed, 40);
  EXPECT_TRUE(group->sequences.front().kv.stored.empty());
  bench.RunToEnd();
  EXPECT_EQ(pinned.num_free(), 2);
  bench.ExpectAllBack();
}

TEST(SchedulerPreemptionTest, PreemptedTwiceComesBackReservedAndStays) {
  int64_t reserved = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Rng rng(seed);
    SchedulerBench bench({.num_stored = 5,
                          .max_running = 5,
                          .max_tokens_per_step = 40,
                          .prefix_cache = seed % 2 == 0});
    for (uint64_t id = 1; id <= 12; ++id) {
      const int prompt = 1 + static_cast<int>(rng.Below(60));
      ASSERT_TRUE(bench.Add(id, prompt, 1 + static_cast<int>(rng.Below(90))).ok());
    }
    std::map<uint64_t, int> before;
    while (bench.scheduler().has_work()) {
      const std::optional<RequestId> oldest = bench.scheduler().Oldest();
      const int of_oldest = PreemptionsOf(bench.scheduler(), oldest->value);
      const StepPlan plan = bench.Schedule();
      ASSERT_FALSE(plan.empty()) << "work and no progress";
      ASSERT_EQ(PreemptionsOf(bench.scheduler(), oldest->value), of_oldest)
          << "the oldest was preempted";
      for (uint64_t id = 1; id <= 12; ++id) {
        ASSERT_LE(PreemptionsOf(bench.scheduler(), id), 2) << "preempted after its reservation";
      }
      bench.Update(plan);
    }
    reserved += bench.scheduler().counters().reserved_admissions;
    bench.ExpectAllBack();
  }
  EXPECT_GT(reserved, 10);
}

int SoloSteps(int prompt, int max_new, int budget) {
  SchedulerBench bench({.num_stored = 5, .max_tokens_per_step = budget, .prefix_cache = false});
  EXPECT_TRUE(bench.Add(1, prompt, max_new).ok());
  int steps = 0;
  for (; bench.scheduler().has_work(); ++steps) bench.Step();
  return steps;
}

// All arrive at once: each is done within 4 x the sum of the solo steps of all.
TEST(SchedulerPreemptionTest, EveryRequestFinishesWithinTheBound) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Rng rng(seed);
    const int budget = 8 + static_cast<int>(rng.Below(60));
    SchedulerBench bench({.num_stored = 5, .max_tokens_per_step = budget, .prefix_cache = false});
    int bound = 0;
    for (uint64_t id = 1; id <= 8; ++id) {
      const int max_new = 1 + static_cast<int>(rng.Below(60));
      const int prompt = 1 + static_cast<int>(rng.Below(static_cast<uint64_t>(160 - max_new)));
      bound += 4 * SoloSteps(prompt, max_new, budget);
      ASSERT_TRUE(bench.Add(id, prompt, max_new).ok());
    }
    bench.RunToEnd(bound);
    ASSERT_FALSE(bench.scheduler().has_work()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace intactkv
