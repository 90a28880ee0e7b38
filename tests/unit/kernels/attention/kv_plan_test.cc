#include "kernels/cpu/kv_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "engine/base/status_macros.h"
#include "kernels/cpu/attn_kernels.h"

namespace intactkv {
namespace {

constexpr KvPlanLimits kLimits{.max_rows = 100,
                               .max_sequences = 3,
                               .max_context = 2000,
                               .group = 3,
                               .num_pinned_pages = 20,
                               .num_stored_pages = 40,
                               .num_hot_pages = 3,
                               .partial_promotions = false};

void AddRows(Batch& batch, BatchSequence sequence) {
  sequence.first_row = batch.num_rows();
  for (int i = 0; i < sequence.num_rows; ++i) {
    batch.tokens.push_back(0);
    batch.positions.push_back(sequence.first_position + i);
  }
  batch.sequences.push_back(sequence);
}

// Two sequences: 70 rows over three pages after 40 pinned tokens, and one row at position 600.
Batch GoodBatch() {
  Batch batch;
  for (int i = 0; i < 20; ++i) batch.pinned_entries.push_back({PageClass::kPinned, i});
  for (int i = 0; i < 23; ++i) batch.stored_entries.push_back({PageClass::kStored, i});
  AddRows(batch, {.num_rows = 70,
                  .first_position = 50,
                  .num_pinned_tokens = 40,
                  .num_stored = 3,
                  .hot_slot = 0});
  AddRows(batch, {.num_rows = 1,
                  .first_position = 600,
                  .num_pinned_tokens = 0,
                  .stored_begin = 3,
                  .num_stored = 19,
                  .hot_slot = 2});
  batch.promotions = {{.sequence = 0, .page = 0}, {.sequence = 0, .page = 1}};
  return batch;
}

TEST(KvPlanTest, CutsChunksAtPagesAndRowsIntoTiles) {
  KvPlan plan(kLimits);
  ASSERT_TRUE(plan.Build(GoodBatch()).ok());
  ASSERT_EQ(plan.touched().size(), 4u);
  const TouchedPage& first = plan.touched()[0];
  EXPECT_EQ(first.first_lane, 10);
  EXPECT_EQ(first.num_tokens, 22);
  EXPECT_TRUE(first.copy_in);
  EXPECT_FALSE(first.copy_back);
  EXPECT_EQ(first.promote_valid, 32);
  const TouchedPage& last = plan.touched()[2];
  EXPECT_EQ(last.num_tokens, 16);
  EXPECT_FALSE(last.copy_in);
  EXPECT_TRUE(last.copy_back);
  EXPECT_EQ(last.scratch, 2);
  EXPECT_EQ(last.promote_valid, 0);
  EXPECT_EQ(plan.touched()[3].scratch, -1);
  EXPECT_FALSE(plan.touched()[3].copy_in || plan.touched()[3].copy_back);

  int rows = 0;
  for (const RowTile& tile : plan.tiles()) {
    EXPECT_LE(tile.num_rows, kAttnMaxRows);
    rows += tile.num_rows;
  }
  EXPECT_EQ(rows, 71 * 3);
  const RowTile& decode = plan.tiles().back();
  EXPECT_EQ(decode.num_pinned_items, 0);
  EXPECT_EQ(decode.num_stored_items, 2);  // 18 pages
  EXPECT_EQ(decode.num_items(), 3);
  EXPECT_EQ(plan.max_items(), 3);
}

TEST(KvPlanTest, AChunkThatEndsAtAPageLeavesNothingOpen) {
  Batch batch = GoodBatch();
  batch.promotions.push_back({.sequence = 0, .page = 2});
  for (int i = 0; i < 16; ++i) {
    batch.tokens.push_back(0);
    batch.positions.push_back(0);
  }
  batch.sequences[0].num_rows += 16;
  batch.sequences[1].first_row += 16;
  for (int i = 0; i < 86; ++i) batch.positions[static_cast<size_t>(i)] = 50 + i;
  batch.positions[86] = 600;
  KvPlan plan(kLimits);
  ASSERT_TRUE(plan.Build(batch).ok());
  EXPECT_FALSE(plan.touched()[2].copy_back);
  EXPECT_EQ(plan.touched()[2].promote_valid, 32);
}

TEST(KvPlanTest, FullestBatchFitsTheReservedMemory) {
  KvPlan plan(kLimits);
  const size_t touched = plan.touched().capacity();
  const size_t tiles = plan.tiles().capacity();
  Batch batch;
  for (int i = 0; i < 20; ++i) batch.pinned_entries.push_back({PageClass::kPinned, i});
  for (int i = 0; i < 40; ++i) batch.stored_entries.push_back({PageClass::kStored, i});
  for (const int rows : {34, 34, 32}) {
    AddRows(batch, {.num_rows = rows,
                    .first_position = 31,
                    .num_stored = 3,
                    .hot_slot = static_cast<int>(batch.sequences.size())});
  }
  ASSERT_TRUE(plan.Build(batch).ok());
  EXPECT_EQ(plan.touched().size(), 8u);
  EXPECT_EQ(plan.touched().capacity(), touched);
  EXPECT_EQ(plan.tiles().capacity(), tiles);
}

struct BadCase {
  std::string name;
  std::function<void(Batch&)> spoil;
};

class KvPlanBadBatchTest : public testing::TestWithParam<BadCase> {};

TEST_P(KvPlanBadBatchTest, IsRefusedAndLeavesNoPlan) {
  Batch batch = GoodBatch();
  GetParam().spoil(batch);
  KvPlan plan(kLimits);
  EXPECT_EQ(plan.Build(batch).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(plan.touched().empty());
  EXPECT_TRUE(plan.tiles().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, KvPlanBadBatchTest,
    testing::ValuesIn(std::vector<BadCase>{
        {"TooManyRows", [](Batch& b) { AddRows(b, {.num_rows = 30}); }},
        {"TooManySequences",
         [](Batch& b) {
           AddRows(b, {.num_rows = 1, .num_stored = 1, .hot_slot = 1});
           AddRows(b, {.num_rows = 1, .num_stored = 1, .hot_slot = 1});
         }},
        {"RowsNotCovered", [](Batch& b) { b.sequences.pop_back(); }},
        {"RowsOverlap", [](Batch& b) { b.sequences[1].first_row = 69; }},
        {"NoRows", [](Batch& b) { b.sequences[1].num_rows = 0; }},
        {"PositionsMissing", [](Batch& b) { b.positions.pop_back(); }},
        {"PositionsJump", [](Batch& b) { b.positions[20] += 1; }},
        {"BeyondTheContext",
         [](Batch& b) { b.positions[70] = b.sequences[1].first_position = 2000; }},
        {"AppendsBelowTheMatch", [](Batch& b) { b.sequences[0].num_pinned_tokens = 51; }},
        {"ReadsBeyondTheMatch", [](Batch& b) { b.sequences[1].append = false; }},
        {"PinnedEntriesMissing", [](Batch& b) { b.pinned_entries.resize(1); }},
        {"PinnedSlotBeyondThePool",
         [](Batch& b) { b.pinned_entries[1] = {PageClass::kPinned, 20}; }},
        {"StoredEntriesMissing", [](Batch& b) { b.stored_entries.resize(21); }},
        {"StoredSlotBeyondThePool",
         [](Batch& b) { b.stored_entries[2] = {PageClass::kStored, 40}; }},
        {"PageNotOpened", [](Batch& b) { b.sequences[1].num_stored = 18; }},
        {"HotSlotBeyondThePool", [](Batch& b) { b.sequences[1].hot_slot = 3; }},
        {"HotSlotMissing", [](Batch& b) { b.sequences[1].hot_slot = -1; }},
        {"HotSlotShared", [](Batch& b) { b.sequences[1].hot_slot = 0; }},
        {"PromotionOfAnotherPage", [](Batch& b) { b.promotions[0].page = 3; }},
        {"PromotionOfAnOpenPage", [](Batch& b) { b.promotions[0].page = 2; }},
        {"PromotionOfAPart", [](Batch& b) { b.promotions[0].num_valid = 31; }},
        {"PromotionTwice", [](Batch& b) { b.promotions[1].page = 0; }},
        {"PromotionOfNoSequence", [](Batch& b) { b.promotions[0].sequence = 2; }},
    }),
    [](const testing::TestParamInfo<BadCase>& info) { return info.param.name; });

TEST(KvPlanTest, PartialPromotionsNeedAFloatFormat) {
  KvPlanLimits limits = kLimits;
  limits.partial_promotions = true;
  KvPlan plan(limits);
  Batch batch = GoodBatch();
  batch.promotions.push_back({.sequence = 0, .page = 2, .num_valid = 16});
  EXPECT_TRUE(plan.Build(batch).ok());
  batch.promotions.back().num_valid = 17;
  EXPECT_FALSE(plan.Build(batch).ok());
  batch.promotions.back().num_valid = 0;
  EXPECT_FALSE(plan.Build(batch).ok());
}

}  // namespace
}  // namespace intactkv
