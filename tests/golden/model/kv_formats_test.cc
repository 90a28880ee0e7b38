// What each format of stored KV pages costs on the two real models, measured through the whole
// engine: the numbers that --kv auto stands on (docs/adr/0005-kv-format-per-family.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/checkpoint/opened_model.h"
#include "engine/model/kv_policy.h"
#include "engine/text/text_codec.h"
#include "server/main/model_text.h"
#include "tests/golden/model/default_model.h"
#include "tests/golden/model/kv_study.h"
#include "tests/golden/model/serving_stack.h"

namespace intactkv::golden {
namespace {

// Own text, which no model has been trained on: half prose, half C++.
constexpr std::array kProse = {
    "docs/life_of_a_request.md", "docs/reliability.md", "README.md",
    "docs/glossary.md",          "CHANGELOG.md",        "tests/golden/model/README.md"};
constexpr std::array kSource = {"engine/sched/scheduler.cc", "kernels/cpu/kv_attention.cc"};
constexpr size_t kPieceBytes = 2800;   // at least a window's tokens
constexpr size_t kPromptTokens = 288;  // the pinned system prefix and some eight pages of text
constexpr size_t kScoredTokens = 256;
constexpr size_t kGroup = 12;  // windows served at once

std::string ReadSource(const std::string& name) {
  std::ifstream file(INTACTKV_SOURCE_DIR "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

template <size_t kNumFiles>
void AddPieces(const std::array<const char*, kNumFiles>& files, size_t count,
               std::vector<std::string>& pieces) {
  const size_t want = pieces.size() + count;
  for (const char* name : files) {
    const std::string text = ReadSource(name);
    for (size_t at = 0; at + kPieceBytes <= text.size() && pieces.size() < want;
         at += kPieceBytes) {
      pieces.push_back(text.substr(at, kPieceBytes));
    }
  }
  ASSERT_EQ(pieces.size(), want) << "too little text";
}

// Each piece as a chat's first message, cut to a window: what is scored is the text itself.
absl::StatusOr<std::vector<ForcedPrompt>> Windows(const std::string& model_path,
                                                  const std::vector<std::string>& pieces) {
  ASSIGN_OR_RETURN(const OpenedModel model, OpenedModel::Open(model_path));
  ASSIGN_OR_RETURN(TokenizerData data, ReadModelText(model));
  ASSIGN_OR_RETURN(const std::unique_ptr<TextCodec> codec,
                   MakeTextCodec(std::move(data), {.now_unix_seconds = 0}));
  std::vector<ForcedPrompt> windows;
  for (const std::string& piece : pieces) {
    const ChatMessage message = {.role = "user", .content = piece};
    ASSIGN_OR_RETURN(const std::vector<TokenId> ids, codec->EncodeChat({&message, 1}, false));
    if (ids.size() < kPromptTokens + kScoredTokens) return Internal("a piece is too short");
    const auto middle = ids.begin() + kPromptTokens;
    windows.push_back(
        {.prompt = {ids.begin(), middle}, .continuation = {middle, middle + kScoredTokens}});
  }
  return windows;
}

class KvFormatsTest : public ::testing::Test {
 protected:
  void Open(const std::string& path, const std::string& architecture, size_t num_windows) {
    if (!std::filesystem::exists(path)) {
      GTEST_SKIP() << "no model at " << path << ": run scripts/fetch-model.sh";
    }
    path_ = path;
    architecture_ = architecture;
    std::vector<std::string> pieces;
    ASSERT_NO_FATAL_FAILURE(AddPieces(kProse, num_windows / 2, pieces));
    ASSERT_NO_FATAL_FAILURE(AddPieces(kSource, num_windows / 2, pieces));
    auto windows = Windows(path, pieces);
    ASSERT_TRUE(windows.ok()) << windows.status();
    windows_ = *std::move(windows);
    reference_ = Serve("f32");
    ASSERT_FALSE(reference_.empty());
  }

  // All windows with the file's own numbers and activations in full precision: only the pages
  // differ.
  std::vector<ForcedRun> Serve(const std::string& kv) {
    std::vector<ForcedRun> runs;
    auto stack =
        MakeServingStack({.model_path = path_, .weights = "f32", .activations = "f32", .kv = kv});
    EXPECT_TRUE(stack.ok()) << stack.status();
    for (size_t at = 0; stack.ok() && at < windows_.size(); at += kGroup) {
      const size_t count = std::min(kGroup, windows_.size() - at);
      auto some = (*stack)->RunTeacherForced(std::span(windows_).subspan(at, count));
      EXPECT_TRUE(some.ok()) << some.status();
      if (!some.ok()) return {};
      for (ForcedRun& run : *some) {
        EXPECT_GE(run.usage.pinned_tokens, 1) << "served without its pin";
        runs.push_back(std::move(run));
      }
    }
    return runs;
  }

  FormatCost Measure(KvFormat format) {
    const std::vector<ForcedRun> runs = Serve(std::string(StoredFormatName(format)));
    FormatCost cost;
    for (size_t i = 0; i < runs.size(); ++i) {
      const size_t vocab = runs[i].logits.size() / kScoredTokens;
      for (size_t row = 0; row < kScoredTokens; ++row) {
        cost.AddRow(std::span(reference_[i].logits).subspan(row * vocab, vocab),
                    std::span(runs[i].logits).subspan(row * vocab, vocab),
                    windows_[i].continuation[row]);
      }
    }
    EXPECT_EQ(cost.num_rows(), std::ssize(windows_) * int64_t{kScoredTokens});
    std::cout << architecture_ << ", " << StoredFormatName(format) << ": " << cost.Summary()
              << std::endl;
    return cost;
  }

  // The table must stay true: its numbers within what another text or instruction set changes.
  void CheckTable() {
    int num_measured = 0;
    for (const KvMeasurement& row : KvMeasurements()) {
      if (row.architecture != architecture_) continue;
      const FormatCost cost = Measure(row.format);
      SCOPED_TRACE(std::string(StoredFormatName(row.format)) +
                   ": docs/adr/0005 and engine/model/kv_policy.cc hold other numbers");
      EXPECT_NEAR(cost.mean_kl(), row.mean_kl, 0.3 * row.mean_kl + 0.00002);
      EXPECT_NEAR(cost.top1_percent(), row.top1_percent, 0.6);
      EXPECT_GT(cost.mean_kl(), 0) << "the pages were not in this format";
      if (AutomaticKvFormat(architecture_).format == row.format) {
        EXPECT_LE(cost.mean_kl(), kMaxKvMeanKl) << "--kv auto harms this family";
      }
      ++num_measured;
    }
    EXPECT_EQ(num_measured, 4) << "every format but the reference";
  }

  std::string path_, architecture_;
  std::vector<ForcedPrompt> windows_;
  std::vector<ForcedRun> reference_;
};

TEST_F(KvFormatsTest, DefaultModelLosesWhatTheTableSays) {
  ASSERT_NO_FATAL_FAILURE(Open(DefaultModelPath(), "llama", 24));
  if (!IsSkipped()) CheckTable();
}

TEST_F(KvFormatsTest, SecondModelLosesWhatTheTableSays) {
  ASSERT_NO_FATAL_FAILURE(Open(SecondModelPath(), "qwen2", 12));
  if (!IsSkipped()) CheckTable();
}

}  // namespace
}  // namespace intactkv::golden
