// The whole engine on the default model against the recorded reference.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>

#include "tests/golden/model/default_model.h"
#include "tests/golden/model/golden_checks.h"
#include "tests/golden/model/reference_file.h"
#include "tests/golden/model/serving_stack.h"

namespace intactkv::golden {
namespace {

constexpr const char* kReferencePath = INTACTKV_SOURCE_DIR "/tests/golden/model/reference.bin";

class GoldenModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.model_path = DefaultModelPath();
    if (!std::filesystem::exists(config_.model_path)) {
      GTEST_SKIP() << "no model at " << config_.model_path << ": run scripts/fetch-model.sh";
    }
    auto reference = ReadReferenceFile(kReferencePath);
    ASSERT_TRUE(reference.ok()) << reference.status();
    reference_ = *std::move(reference);
    ASSERT_EQ(reference_.prompts.size(), 20u);
    for (const auto& prompt : reference_.prompts) ASSERT_EQ(prompt.positions.size(), 32u);
    const absl::Status same = CheckSha256(config_.model_path, reference_.model_sha256);
    ASSERT_TRUE(same.ok()) << same;
  }

  GoldenReport Check(const GoldenOptions& options) {
    auto stack = MakeServingStack(config_);
    EXPECT_TRUE(stack.ok()) << stack.status();
    if (!stack.ok()) return {};
    auto report = RunGolden(reference_, **stack, options);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return {};
    std::cout << report->Summary() << "\n";
    for (const std::string& failure : report->failures) ADD_FAILURE() << failure;
    return *std::move(report);
  }

  StackConfiguration config_;
  Reference reference_;
};

TEST_F(GoldenModelTest, ReferenceConfigurationComputesWhatTransformersComputes) {
  config_.weights = config_.activations = config_.kv = "f32";
  const GoldenReport report = Check({.check_exact = true});
  EXPECT_EQ(report.num_positions, 20 * 32);
  EXPECT_GE(report.least_pinned_tokens, 1) << "a chat was served without its pin";
}

TEST_F(GoldenModelTest, DefaultConfigurationStaysCloseToFullPrecision) {
  const GoldenReport report = Check({.check_close = true});
  EXPECT_EQ(report.num_positions, 20 * 32);
  EXPECT_GE(report.least_pinned_tokens, 1) << "a chat was served without its pin";
  EXPECT_GT(report.worst_logit, kLogitBound) << "this is not the quantized configuration";
}

}  // namespace
}  // namespace intactkv::golden
