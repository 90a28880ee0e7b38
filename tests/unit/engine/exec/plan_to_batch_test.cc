#include "engine/exec/plan_to_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PlanLimits Limits() {
  PlanLimits limits;
  limits.vocab = 320;
  limits.max_rows = 64;
  limits.max_sequences = 4;
  limits.max_context = 256;
  limits.max_logits_rows = 3;
  limits.num_pinned_pages = 8;
  limits.num_stored_pages = 16;
  limits.num_hot_pages = 4;
  return limits;
}

void AddRows(StepPlan* plan, int first_position, int count, bool last_wants_logits) {
  for (int i = 0; i < count; ++i) {
    plan->rows.push_back({TokenId(i % 320), first_position + i, false});
  }
  plan->rows.back().wants_logits = last_wants_logits;
  if (last_wants_logits) plan->samples.emplace_back();
}

// Three sequences: a prefill chunk of 40 rows behind c = 33, which fills private block 0; one
// decode row at position 40 with c = 0; two rows below c = 33 for their logits alone.
StepPlan GoodPlan() {
  StepPlan plan;
  AddRows(&plan, 33, 40, true);
  plan.pinned_entries = {PageEntry(PageClass::kPinned, 7), PageEntry(PageClass::kPinned, 2)};
  plan.stored_entries = {PageEntry(PageClass::kStored, 15), PageEntry(PageClass::kStored, 0)};
  plan.sequences.push_back({.id = SequenceId(10),
                            .first_row = 0,
                            .num_rows = 40,
                            .num_pinned_tokens = 33,
                            .pinned_begin = 0,
                            .stored_begin = 0,
                            .num_stored = 2,
                            .hot_slot = 3});
  AddRows(&plan, 40, 1, true);
  plan.stored_entries.emplace_back(PageClass::kStored, 4);
  plan.stored_entries.emplace_back(PageClass::kStored, 5);
  plan.sequences.push_back({.id = SequenceId(11),
                            .first_row = 40,
                            .num_rows = 1,
                            .stored_begin = 2,
                            .num_stored = 2,
                            .hot_slot = 0});
  AddRows(&plan, 31, 2, true);
  plan.sequences.push_back({.id = SequenceId(12),
                            .first_row = 41,
                            .num_rows = 2,
                            .num_pinned_tokens = 33,
                            .pinned_begin = 0,
                            .append = false});
  plan.promotions.push_back({.sequence = 0, .block = 0});
  return plan;
}

TEST(PlanToBatchTest, TranslatesAWholePlan) {
  const absl::StatusOr<Batch> batch = BuildBatch(GoodPlan(), Limits());
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->num_rows(), 43);
  EXPECT_EQ(batch->tokens[39], 39);
  EXPECT_EQ(batch->positions[0], 33);
  EXPECT_EQ(batch->positions[40], 40);
  EXPECT_EQ(batch->positions[42], 32);
  EXPECT_THAT(batch->logits_rows, ElementsAre(39, 40, 42));
  ASSERT_EQ(batch->sequences.size(), 3u);
  const BatchSequence& first = batch->sequences[0];
  EXPECT_EQ(first.first_row, 0);
  EXPECT_EQ(first.num_rows, 40);
  EXPECT_EQ(first.first_position, 33);
  EXPECT_EQ(first.num_pinned_tokens, 33);
  EXPECT_EQ(first.num_stored, 2);
  EXPECT_EQ(first.hot_slot, 3);
  EXPECT_TRUE(first.append);
  EXPECT_EQ(batch->sequences[1].stored_begin, 2);
  EXPECT_FALSE(batch->sequences[2].append);
  EXPECT_EQ(batch->pinned_entries, GoodPlan().pinned_entries);
  EXPECT_EQ(batch->stored_entries, GoodPlan().stored_entries);
  ASSERT_EQ(batch->promotions.size(), 1u);
  EXPECT_EQ(batch->promotions[0].page, 0);
  EXPECT_EQ(batch->promotions[0].num_valid, kPageTokens);
}

struct BrokenPlan {
  const char* name;
  std::function<void(StepPlan*)> change;
  const char* message;
};

const BrokenPlan kBrokenPlans[] = {
    {"NoRows", [](StepPlan* p) { *p = StepPlan(); }, "it has no rows"},
    {"TooManyRows", [](StepPlan* p) { AddRows(p, 0, 22, false); }, "65 rows, at most 64"},
    {"TooManySequences", [](StepPlan* p) { p->sequences.resize(5); }, "5 sequences, at most 4"},
    {"TooManySamples", [](StepPlan* p) { p->samples.resize(4); }, "4 rows with logits, at most 3"},
    {"RowsWithoutSequence", [](StepPlan* p) { AddRows(p, 0, 1, false); },
     "rows after the last sequence"},
    {"GapBetweenSequences", [](StepPlan* p) { p->sequences[1].first_row = 41; },
     "sequence 11: its rows do not follow"},
    {"EmptySequence", [](StepPlan* p) { p->sequences[0].num_rows = 0; },
     "sequence 10: its rows do not follow"},
    {"SequenceBeyondRows", [](StepPlan* p) { p->sequences[2].num_rows = 3; },
     "sequence 12: its rows do not follow"},
    {"NegativeToken", [](StepPlan* p) { p->rows[4].token = TokenId(-1); }, "row 4: token -1"},
    {"TokenBeyondVocabulary", [](StepPlan* p) { p->rows[4].token = TokenId(320); },
     "row 4: token 320"},
    {"PositionOutOfOrder", [](StepPlan* p) { p->rows[4].position = 99; }, "row 4: position 99"},
    {"NegativePosition", [](StepPlan* p) { p->rows[40].position = -1; }, "row 40: position -1"},
    {"PositionBeyondContext", [](StepPlan* p) { p->rows[40].position = 256; },
     "row 40: position 256"},
    {"NegativeC", [](StepPlan* p) { p->sequences[1].num_pinned_tokens = -1; }, "c is out of range"},
    {"AppendBelowC", [](StepPlan* p) { p->sequences[0].num_pinned_tokens = 34; },
     "sequence 10: an appending row lies below c"},
    {"ReadOnlyAboveC", [](StepPlan* p) { p->sequences[2].num_pinned_tokens = 32; },
     "sequence 12: a row that does not append"},
    {"PinnedEntriesBeyondPlan", [](StepPlan* p) { p->sequences[0].pinned_begin = 1; },
     "sequence 10: its page entries reach"},
    {"PinnedEntriesBeforePlan", [](StepPlan* p) { p->sequences[0].pinned_begin = -1; },
     "sequence 10: its page entries reach"},
    {"StoredEntriesBeyondPlan", [](StepPlan* p) { p->sequences[1].stored_begin = 3; },
     "sequence 11: its page entries reach"},
    {"TooFewStored", [](StepPlan* p) { p->sequences[0].num_stored = 1; },
     "sequence 10: it has 1 stored entries, needs 2"},
    {"PinnedSlot", [](StepPlan* p) { p->pinned_entries[0] = PageEntry(PageClass::kPinned, 8); },
     "a pinned entry has another class or slot 8 of 8"},
    {"PinnedClass", [](StepPlan* p) { p->pinned_entries[0] = PageEntry(PageClass::kStored, 0); },
     "a pinned entry has another class"},
    {"StoredSlot", [](StepPlan* p) { p->stored_entries[0] = PageEntry(PageClass::kStored, 16); },
     "a stored entry has another class or slot 16 of 16"},
    {"StoredClass", [](StepPlan* p) { p->stored_entries[0] = PageEntry(PageClass::kPinned, 0); },
     "a stored entry has another class"},
    {"NoHotSlot", [](StepPlan* p) { p->sequences[0].hot_slot = -1; }, "hot slot -1"},
    {"HotSlotBeyondPool", [](StepPlan* p) { p->sequences[0].hot_slot = 4; }, "hot slot 4"},
    {"HotSlotTaken", [](StepPlan* p) { p->sequences[1].hot_slot = 3; },
     "sequence 11: hot slot 3 is out of range or taken"},
    {"PromotionMissing", [](StepPlan* p) { p->promotions.clear(); },
     "sequence 10: block 0 is filled by this step but not promoted"},
    {"PromotionTwice", [](StepPlan* p) { p->promotions.push_back(p->promotions[0]); },
     "promotion 1: block 0 is not filled by this step, or twice"},
    {"PromotionTooEarly", [](StepPlan* p) { p->promotions[0].block = 1; },
     "promotion 0: block 1 is not filled"},
    {"PromotionOfNoSequence", [](StepPlan* p) { p->promotions[0].sequence = 3; },
     "promotion 0: no such sequence"},
    {"PromotionOfReadOnly", [](StepPlan* p) { p->promotions[0].sequence = 2; },
     "promotion 0: block 0 is not filled"},
    {"PartialPromotionOfIntegerPages",
     [](StepPlan* p) { p->promotions.push_back({.sequence = 0, .block = 1, .num_valid = 8}); },
     "promotion 1: block 1 is not filled"},
    {"SampleMissing", [](StepPlan* p) { p->samples.pop_back(); },
     "2 samples for 3 rows that want logits"},
    {"SampleTooMany", [](StepPlan* p) { p->rows[42].wants_logits = false; },
     "3 samples for 2 rows"},
};

class BrokenPlanTest : public ::testing::TestWithParam<BrokenPlan> {};

TEST_P(BrokenPlanTest, IsRefusedByName) {
  StepPlan plan = GoodPlan();
  GetParam().change(&plan);
  const absl::Status status = BuildBatch(plan, Limits()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Table, BrokenPlanTest, ::testing::ValuesIn(kBrokenPlans),
                         [](const auto& info) { return std::string(info.param.name); });

// One sequence with c = 0 whose rows are [begin, end).
StepPlan Chunk(int begin, int end, int num_stored) {
  StepPlan plan;
  AddRows(&plan, begin, end - begin, false);
  for (int i = 0; i < num_stored; ++i) plan.stored_entries.emplace_back(PageClass::kStored, i);
  plan.sequences.push_back({.first_row = 0,
                            .num_rows = end - begin,
                            .stored_begin = 0,
                            .num_stored = num_stored,
                            .hot_slot = 0});
  return plan;
}

TEST(PlanToBatchTest, ExactlyThePagesThatAChunkFillsArePromoted) {
  struct Case {
    int begin, end, num_stored;
    std::vector<int> filled;
  };
  for (const Case& c : std::vector<Case>{{0, 31, 1, {}},
                                         {0, 32, 1, {0}},
                                         {0, 33, 2, {0}},
                                         {31, 32, 1, {0}},
                                         {32, 63, 2, {}},
                                         {20, 80, 3, {0, 1}},
                                         {0, 64, 2, {0, 1}}}) {
    SCOPED_TRACE(std::to_string(c.begin) + ".." + std::to_string(c.end));
    StepPlan plan = Chunk(c.begin, c.end, c.num_stored);
    for (const int block : c.filled) plan.promotions.push_back({.sequence = 0, .block = block});
    EXPECT_TRUE(BuildBatch(plan, Limits()).ok()) << BuildBatch(plan, Limits()).status();
    if (c.filled.empty()) {
      plan.promotions.push_back({.sequence = 0, .block = c.begin / kPageTokens});
    } else {
      plan.promotions.pop_back();
    }
    EXPECT_FALSE(BuildBatch(plan, Limits()).ok());
    StepPlan short_of_pages = Chunk(c.begin, c.end, c.num_stored - 1);
    EXPECT_THAT(BuildBatch(short_of_pages, Limits()).status().ToString(), HasSubstr("needs"));
  }
}

TEST(PlanToBatchTest, APrefixBuildWritesItsLastPagePartlyAndIntoPinnedSlots) {
  PlanLimits limits = Limits();
  limits.num_pinned_pages = 0;
  limits.allow_partial_promotion = true;
  StepPlan plan = Chunk(0, 40, 2);
  plan.stored_entries = {PageEntry(PageClass::kPinned, 3), PageEntry(PageClass::kPinned, 1)};
  plan.promotions.push_back({.sequence = 0, .block = 0});
  plan.promotions.push_back({.sequence = 0, .block = 1, .num_valid = 8});
  const absl::StatusOr<Batch> batch = BuildBatch(plan, limits);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->stored_entries,
              ElementsAre(PageEntry(PageClass::kStored, 3), PageEntry(PageClass::kStored, 1)));
  EXPECT_EQ(batch->promotions[1].num_valid, 8);
  for (const int wrong : {0, 7, 9, 33, -1}) {
    plan.promotions[1].num_valid = wrong;
    EXPECT_FALSE(BuildBatch(plan, limits).ok()) << wrong;
  }
  plan.promotions[1] = {.sequence = 0, .block = 0, .num_valid = 8};
  EXPECT_FALSE(BuildBatch(plan, limits).ok());
}

TEST(PlanToBatchTest, TwoSequencesMayNotWriteOnePage) {
  StepPlan plan = Chunk(0, 32, 1);
  AddRows(&plan, 0, 32, false);
  plan.sequences.push_back({.id = SequenceId(1),
                            .first_row = 32,
                            .num_rows = 32,
                            .stored_begin = 0,
                            .num_stored = 1,
                            .hot_slot = 1});
  plan.promotions.push_back({.sequence = 0, .block = 0});
  plan.promotions.push_back({.sequence = 1, .block = 0});
  EXPECT_THAT(BuildBatch(plan, Limits()).status().ToString(),
              HasSubstr("promotion 1: another one writes the same page"));
}

}  // namespace
}  // namespace intactkv
