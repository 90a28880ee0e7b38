#include "tests/golden/model/forced_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace intactkv::golden {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kVocab = 4;

// Row i of a step has logits {i, i + 0.5, ...}; samples token 3; counts what it was asked.
class RampExecutor : public Executor {
 public:
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override {
    asked_for_logits.push_back(plan.return_logits);
    StepResult result;
    for (size_t i = 0; i < plan.samples.size(); ++i) {
      result.tokens.push_back({.token = TokenId(3), .logprob = -1.5f, .top = {}});
      for (int v = 0; plan.return_logits && v < kVocab; ++v) {
        result.logits.push_back(static_cast<float>(i) + 0.5f * static_cast<float>(v));
      }
    }
    if (drop_a_logit) result.logits.pop_back();
    return result;
  }
  int64_t weight_bytes() const override { return 1234; }
  int vocab_size() const override { return kVocab; }
  std::string PageChecksum(const std::vector<PageEntry>& entries) const override {
    return "checksum of " + std::to_string(entries.size());
  }

  std::vector<bool> asked_for_logits;
  bool drop_a_logit = false;
};

SampleRow Sample(uint64_t seed, int64_t output_index) {
  SampleRow row;
  row.params.seed = seed;
  row.output_index = output_index;
  return row;
}

class ForcedExecutorTest : public ::testing::Test {
 protected:
  ForcedExecutorTest() {
    auto inner = std::make_unique<RampExecutor>();
    inner_ = inner.get();
    executor_ = std::make_unique<ForcedExecutor>(std::move(inner), forced_);
  }
  StepResult Step(std::vector<SampleRow> samples, bool return_logits = false) {
    StepPlan plan;
    plan.samples = std::move(samples);
    plan.return_logits = return_logits;
    auto result = executor_->Execute(plan);
    EXPECT_TRUE(result.ok()) << result.status();
    return std::move(result).value_or(StepResult{});
  }

  std::shared_ptr<ForcedTokens> forced_ = std::make_shared<ForcedTokens>();
  RampExecutor* inner_ = nullptr;
  std::unique_ptr<ForcedExecutor> executor_;
};

TEST_F(ForcedExecutorTest, ForcesByRequestAndOutputAndKeepsThoseRows) {
  forced_->Add(7, {TokenId(1), TokenId(2)});
  forced_->Add(8, {TokenId(0)});
  // Request 7 comes second in one step and first in the next, request 9 is nobody's.
  StepResult first = Step({Sample(9, 0), Sample(7, 0)});
  StepResult second = Step({Sample(7, 1), Sample(9, 1), Sample(8, 0)});
  EXPECT_EQ(first.tokens[0].token, TokenId(3));
  EXPECT_EQ(first.tokens[1].token, TokenId(1));
  EXPECT_EQ(first.tokens[1].logprob, -1.5f);
  EXPECT_EQ(second.tokens[0].token, TokenId(2));
  EXPECT_EQ(second.tokens[1].token, TokenId(3));
  EXPECT_EQ(second.tokens[2].token, TokenId(0));
  const auto seven = forced_->Take(7), eight = forced_->Take(8);
  ASSERT_TRUE(seven.ok() && eight.ok());
  EXPECT_THAT(*seven, ElementsAre(1, 1.5f, 2, 2.5f, 0, 0.5f, 1, 1.5f));
  EXPECT_THAT(*eight, ElementsAre(2, 2.5f, 3, 3.5f));
}

TEST_F(ForcedExecutorTest, OutputsPastTheScriptAreLeftAlone) {
  forced_->Add(7, {TokenId(1)});
  EXPECT_EQ(Step({Sample(7, 1)}).tokens[0].token, TokenId(3));
  EXPECT_EQ(Step({Sample(7, 0)}).tokens[0].token, TokenId(1));
}

TEST_F(ForcedExecutorTest, LogitsAreReturnedOnlyToThoseWhoAsked) {
  forced_->Add(7, {TokenId(1)});
  EXPECT_THAT(Step({Sample(7, 0)}).logits, IsEmpty());
  EXPECT_EQ(Step({Sample(7, 0)}, /*return_logits=*/true).logits.size(), size_t{kVocab});
  EXPECT_THAT(Step({Sample(6, 0)}).logits, IsEmpty());
  EXPECT_THAT(inner_->asked_for_logits, ElementsAre(true, true, false));
}

TEST_F(ForcedExecutorTest, TakingNeedsEveryRow) {
  EXPECT_EQ(forced_->Take(7).status().code(), absl::StatusCode::kNotFound);
  forced_->Add(7, {TokenId(1), TokenId(2)});
  Step({Sample(7, 0)});
  EXPECT_EQ(forced_->Take(7).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(forced_->Take(7).status().code(), absl::StatusCode::kNotFound) << "it was forgotten";
}

TEST_F(ForcedExecutorTest, AnExecutorThatLosesLogitsFailsTheStep) {
  forced_->Add(7, {TokenId(1)});
  inner_->drop_a_logit = true;
  StepPlan plan;
  plan.samples = {Sample(7, 0)};
  EXPECT_EQ(executor_->Execute(plan).status().code(), absl::StatusCode::kInternal);
}

TEST_F(ForcedExecutorTest, TheRestOfTheInterfacePassesThrough) {
  EXPECT_EQ(executor_->weight_bytes(), 1234);
  EXPECT_EQ(executor_->vocab_size(), kVocab);
  EXPECT_EQ(executor_->PageChecksum({PageEntry(PageClass::kPinned, 3)}), "checksum of 1");
}

}  // namespace
}  // namespace intactkv::golden
