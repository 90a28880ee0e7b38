// One real model against its recorded reference: the fixture of the golden tests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <utility>

#include "tests/golden/model/default_model.h"
#include "tests/golden/model/golden_checks.h"
#include "tests/golden/model/reference_file.h"
#include "tests/golden/model/serving_stack.h"

namespace intactkv::golden {

inline constexpr const char* kReferences = INTACTKV_SOURCE_DIR "/tests/golden/model/";

class GoldenModelTest : public ::testing::Test {
 protected:
  // The model at `path` against `reference`; skips where it is not there: `how` fetches it.
  void Open(const std::string& path, const std::string& reference, size_t num_prompts,
            const char* how) {
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no model at " << path << ": run " << how;
    config_.model_path = path;
    auto read = ReadReferenceFile(kReferences + reference);
    ASSERT_TRUE(read.ok()) << read.status();
    reference_ = *std::move(read);
    ASSERT_EQ(reference_.prompts.size(), num_prompts);
    for (const auto& prompt : reference_.prompts) ASSERT_EQ(prompt.positions.size(), 32u);
    const absl::Status same = CheckSha256(path, reference_.model_sha256);
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
    EXPECT_EQ(report->num_positions, 32 * std::ssize(reference_.prompts));
    EXPECT_GE(report->least_pinned_tokens, 1) << "a chat was served without its pin";
    return *std::move(report);
  }

  StackConfiguration config_;
  Reference reference_;
};

}  // namespace intactkv::golden
