#include "engine/exec/transformer_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/api/page_layout.h"
#include "tests/support/fake_backend.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using test::FakeKvPool;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr KvShape kShape = {2, 2, 64};  // of the tiny model

// A tiny model behind a fake backend, with one pool per class.
class TransformerExecutorTest : public ::testing::Test {
 protected:
  TransformerExecutorTest()
      : backend_(&script_),
        pinned_(MakeClassLayout(kShape, kKvF32), 4),
        stored_(MakeClassLayout(kShape, kKvI8C), 8),
        hot_(MakeClassLayout(kShape, kKvF32), 2) {
    options_.kv = {&pinned_, &stored_, &hot_};
    options_.max_context = 512;
  }

  absl::StatusOr<std::unique_ptr<TransformerExecutor>> Make() {
    const std::vector<std::byte> bytes = test::TinyModelBytes();
    const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "tiny.gguf");
    const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
    absl::StatusOr<std::unique_ptr<LlamaModel>> model =
        LlamaModel::Load(*file, *config, backend_, {});
    EXPECT_TRUE(model.ok()) << model.status();
    return TransformerExecutor::Create(std::move(model).value(), backend_, options_);
  }

  test::FakeScript script_;
  test::FakeBackend backend_;
  FakeKvPool pinned_, stored_, hot_;
  ExecutorOptions options_;
};

// One sequence: tokens 5, 6, 7 from position 0; the last wants logits.
StepPlan SmallPlan() {
  StepPlan plan;
  for (int i = 0; i < 3; ++i) plan.rows.push_back({TokenId(5 + i), i, i == 2});
  plan.stored_entries = {PageEntry(PageClass::kStored, 1)};
  plan.sequences.push_back({.first_row = 0, .num_rows = 3, .num_stored = 1, .hot_slot = 0});
  plan.samples.emplace_back();
  return plan;
}

TEST_F(TransformerExecutorTest, MakesItsContextFromModelAndOptions) {
  options_.activations = ActivationFormat::kF32;
  options_.max_rows = 100;
  options_.max_sequences = 3;
  options_.max_logits_rows = 5;
  const auto executor = Make();
  ASSERT_TRUE(executor.ok()) << executor.status();
  ASSERT_EQ(script_.contexts.size(), 1u);
  const ContextOptions& context = script_.contexts[0];
  EXPECT_EQ(context.shape.hidden, 192);
  EXPECT_EQ(context.activations, ActivationFormat::kF32);
  EXPECT_EQ(context.kv.stored, &stored_);
  EXPECT_EQ(context.max_rows, 100);
  EXPECT_EQ(context.max_sequences, 3);
  EXPECT_EQ(context.max_context, 512);
  EXPECT_EQ(context.max_logits_rows, 5);
  EXPECT_EQ((*executor)->vocab_size(), 320);
  EXPECT_EQ((*executor)->scratch_bytes(), 4096);
  EXPECT_EQ((*executor)->weight_bytes(), (*executor)->model().weight_bytes());
}

TEST_F(TransformerExecutorTest, RefusesPoolsThatDoNotFit) {
  options_.kv.stored = nullptr;
  EXPECT_THAT(Make().status().ToString(), HasSubstr("the stored pool is missing"));
  options_.kv.stored = &stored_;
  options_.kv.pinned = nullptr;  // a prefix build
  EXPECT_TRUE(Make().ok());
  FakeKvPool other(MakeClassLayout({2, 2, 32}, kKvF32), 1);
  options_.kv.pinned = &other;
  EXPECT_THAT(Make().status().ToString(), HasSubstr("the pinned pool was made for another"));
}

TEST_F(TransformerExecutorTest, RunsAStepAndHandsBackTokensHealthAndLogits) {
  const auto executor = std::move(Make()).value();
  script_.health = {{.non_finite = true, .num_clamped = 4}};
  StepPlan plan = SmallPlan();
  absl::StatusOr<StepResult> result = executor->Execute(plan);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->tokens.size(), 1u);
  EXPECT_EQ(result->tokens[0].token, TokenId(7));
  ASSERT_EQ(result->sequences.size(), 1u);
  EXPECT_TRUE(result->sequences[0].non_finite);
  EXPECT_EQ(result->sequences[0].num_clamped, 4);
  EXPECT_TRUE(result->logits.empty());
  plan.return_logits = true;
  result = executor->Execute(plan);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->logits.size(), 320u);
  EXPECT_EQ(result->logits[7], 1.0f);
  EXPECT_THAT(script_.batches.back().positions, ElementsAre(0, 1, 2));
}

TEST_F(TransformerExecutorTest, AStepWithoutLogitsGivesNoTokens) {
  const auto executor = std::move(Make()).value();
  StepPlan plan = SmallPlan();
  plan.rows[2].wants_logits = false;
  plan.samples.clear();
  const absl::StatusOr<StepResult> result = executor->Execute(plan);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->tokens.empty());
  EXPECT_EQ(result->sequences.size(), 1u);
}

TEST_F(TransformerExecutorTest, ABrokenPlanNeverReachesTheBackend) {
  const auto executor = std::move(Make()).value();
  StepPlan plan = SmallPlan();
  plan.rows[1].position = 9;
  EXPECT_TRUE(absl::IsInvalidArgument(executor->Execute(plan).status()));
  EXPECT_TRUE(script_.batches.empty());
  plan = SmallPlan();
  plan.stored_entries[0] = PageEntry(PageClass::kStored, 8);  // the pool has 8
  EXPECT_TRUE(absl::IsInvalidArgument(executor->Execute(plan).status()));
  plan = SmallPlan();
  plan.promotions.push_back({.sequence = 0, .block = 0, .num_valid = 3});  // integer pages
  EXPECT_TRUE(absl::IsInvalidArgument(executor->Execute(plan).status()));
  EXPECT_TRUE(script_.batches.empty());
}

TEST_F(TransformerExecutorTest, APrefixBuildMayPromoteItsOpenPage) {
  options_.kv.pinned = nullptr;
  options_.kv.stored = &pinned_;  // F32 pages
  const auto executor = std::move(Make()).value();
  StepPlan plan = SmallPlan();
  plan.promotions.push_back({.sequence = 0, .block = 0, .num_valid = 3});
  EXPECT_TRUE(executor->Execute(plan).ok());
  EXPECT_EQ(executor->PageChecksum({PageEntry(PageClass::kPinned, 3)}),
            executor->PageChecksum({PageEntry(PageClass::kStored, 3)}));
}

TEST_F(TransformerExecutorTest, TheChecksumSeesEveryByteAndTheOrderOfPages) {
  const auto executor = std::move(Make()).value();
  const std::vector<PageEntry> entries = {PageEntry(PageClass::kPinned, 0),
                                          PageEntry(PageClass::kPinned, 1)};
  const std::string before = executor->PageChecksum(entries);
  EXPECT_EQ(before.size(), 64u);
  EXPECT_EQ(before, executor->PageChecksum(entries));
  std::vector<std::byte> page(CanonicalPageBytes(pinned_.layout()));
  page.back() = std::byte{1};
  pinned_.ImportPage(1, page);
  EXPECT_NE(before, executor->PageChecksum(entries));
  EXPECT_NE(executor->PageChecksum({entries[0], entries[1]}),
            executor->PageChecksum({entries[1], entries[0]}));
  // SHA-256 of nothing.
  EXPECT_EQ(executor->PageChecksum({}),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace intactkv
