#include "engine/sched/plan_builder.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/unit/engine/sched/scheduler_fixture.h"

namespace intactkv {
namespace {

// One sequence with everything allocated, `c` tokens pinned.
class PlanBuilderTest : public ::testing::Test {
 protected:
  void Make(int num_tokens, int c) {
    group_.request = SchedulerBench::Request(0, num_tokens, 4);
    sequence_.group = &group_;
    sequence_.tokens = group_.request.prompt;
    sequence_.kv.pinned.num_tokens = c;
    ASSERT_TRUE(pinned_.TryExtend(sequence_.kv.pinned.blocks, BlocksFor(c)));
    ASSERT_TRUE(stored_.TryExtend(sequence_.kv.stored, BlocksFor(num_tokens - c)));
    sequence_.kv.hot = hot_.TryAllocate();
    sequence_.num_computed = c;
  }

  BlockPool pinned_{PageClass::kPinned, 16, 1};
  BlockPool stored_{PageClass::kStored, 16, 1};
  BlockPool hot_{PageClass::kHot, 1, 1};
  RequestGroup group_;
  Sequence sequence_;
};

TEST_F(PlanBuilderTest, ABadWordIsForbiddenWhereItWouldBecomeComplete) {
  Make(4, 0);
  LogitEdits edits;
  edits.bad_words = {{TokenId(7)}, {TokenId(5), TokenId(6)}, {TokenId(4), TokenId(5), TokenId(9)}};
  group_.request.sampling.edits = std::make_shared<const LogitEdits>(edits);
  const auto forbidden = [&](const std::vector<int>& output) {
    sequence_.tokens = group_.request.prompt;
    for (const int id : output) sequence_.tokens.emplace_back(id);
    sequence_.num_computed = sequence_.num_tokens() - 1;
    StepPlan plan;
    AppendChunk(sequence_, 1, plan);
    EXPECT_TRUE(plan.samples[0].output.empty()) << "no penalty reads it";
    return plan.samples[0].forbidden;
  };
  group_.request.prompt.back() = TokenId(5);  // the prompt is not part of the answer
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(forbidden({}), (Ids{TokenId(7)}));
  EXPECT_EQ(forbidden({5}), (Ids{TokenId(7), TokenId(6)}));
  EXPECT_EQ(forbidden({4, 5}), (Ids{TokenId(7), TokenId(6), TokenId(9)}));
  EXPECT_EQ(forbidden({4, 5, 1}), (Ids{TokenId(7)}));
}

TEST_F(PlanBuilderTest, PenaltiesSeePromptAndOutput) {
  Make(4, 0);
  LogitEdits edits;
  edits.presence_penalty = 0.5f;
  group_.request.sampling.edits = std::make_shared<const LogitEdits>(edits);
  sequence_.tokens.emplace_back(8);
  sequence_.num_computed = 4;
  StepPlan plan;
  AppendChunk(sequence_, 1, plan);
  const SampleRow& row = plan.samples[0];
  EXPECT_EQ(std::vector<TokenId>(row.prompt.begin(), row.prompt.end()), group_.request.prompt);
  EXPECT_EQ(std::vector<TokenId>(row.output.begin(), row.output.end()), (std::vector{TokenId(8)}));
}

TEST_F(PlanBuilderTest, ChunksAddUpToTheWholePromptWhateverTheirSize) {
  for (const int c : {0, 1, 31, 32, 33}) {
    for (const int num_private : {1, 31, 32, 33, 64, 97}) {
      for (const int chunk : {1, 7, 31, 32, 33, 64, 200}) {
        SCOPED_TRACE(testing::Message() << c << " + " << num_private << " by " << chunk);
        sequence_ = Sequence();
        Make(c + num_private, c);
        int promoted = 0, samples = 0;
        while (sequence_.num_uncomputed() > 0) {
          StepPlan plan;
          const int n = std::min(chunk, sequence_.num_uncomputed());
          AppendChunk(sequence_, n, plan);
          ASSERT_EQ(static_cast<int>(plan.rows.size()), n);
          for (size_t i = 0; i < plan.rows.size(); ++i) {
            const int position = sequence_.num_computed + static_cast<int>(i);
            EXPECT_EQ(plan.rows[i].position, position);
            EXPECT_EQ(plan.rows[i].token, sequence_.tokens[static_cast<size_t>(position)]);
            EXPECT_EQ(plan.rows[i].wants_logits, position == c + num_private - 1);
          }
          const int end = sequence_.num_computed + n - c;
          EXPECT_EQ(plan.sequences[0].num_stored, BlocksFor(end));
          EXPECT_EQ(static_cast<int>(plan.pinned_entries.size()), BlocksFor(c));
          for (const PlanPromotion& promotion : plan.promotions) {
            EXPECT_EQ(promotion.block, promoted++);
            EXPECT_EQ(promotion.num_valid, kPageTokens);
          }
          EXPECT_EQ(promoted, end / kPageTokens);
          samples += static_cast<int>(plan.samples.size());
          sequence_.num_computed += n;
        }
        EXPECT_EQ(samples, 1);
      }
    }
  }
}

TEST_F(PlanBuilderTest, APrefixBuildStoresItsPartialPageAndSamplesNothing) {
  for (const int n : {1, 31, 32, 33, 64}) {
    sequence_ = Sequence();
    Make(n, 0);
    group_.build_prefix = true;
    StepPlan plan;
    AppendChunk(sequence_, n, plan);
    EXPECT_TRUE(plan.samples.empty());
    EXPECT_FALSE(plan.rows.back().wants_logits);
    ASSERT_EQ(static_cast<int>(plan.promotions.size()), BlocksFor(n));
    EXPECT_EQ(plan.promotions.back().num_valid,
              n % kPageTokens == 0 ? kPageTokens : n % kPageTokens);
  }
}

TEST_F(PlanBuilderTest, StopIdsAreForbiddenBeforeTheMinimum) {
  Make(5, 0);
  group_.request.stop_token_ids = {TokenId(3)};
  group_.request.min_new_tokens = 1;
  StepPlan plan;
  AppendChunk(sequence_, 5, plan);
  EXPECT_EQ(plan.samples[0].forbidden, group_.request.stop_token_ids);
  EXPECT_EQ(plan.samples[0].output_index, 0);
  sequence_.tokens.emplace_back(8);  // the first generated token
  sequence_.num_computed = 5;
  StepPlan next;
  AppendChunk(sequence_, 1, next);
  EXPECT_TRUE(next.samples[0].forbidden.empty());
  EXPECT_EQ(next.samples[0].output_index, 1);
}

}  // namespace
}  // namespace intactkv
