// The tiny model is what other tests stand on: it must be deterministic, lively, and attend.
#include "tests/support/tiny_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/support/reference_llama.h"

namespace intactkv {
namespace {

TEST(TinyModelTest, TheSameOptionsGiveTheSameBytes) {
  EXPECT_EQ(test::TinyModelBytes(), test::TinyModelBytes());
  EXPECT_NE(test::TinyModelBytes(), test::TinyModelBytes({.seed = 2}));
}

TEST(TinyModelTest, EveryMergeJoinsTokensOfTheVocabulary) {
  const std::vector<std::byte> bytes = test::TinyModelBytes({.vocab = 400});
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "tiny.gguf");
  const std::vector<std::string> tokens = *file->GetStringArray("tokenizer.ggml.tokens");
  const std::set<std::string> known(tokens.begin(), tokens.end());
  EXPECT_EQ(known.size(), 400u);
  const std::vector<std::string> merges = *file->GetStringArray("tokenizer.ggml.merges");
  EXPECT_EQ(merges.size(), 48u);
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    ASSERT_NE(space, std::string::npos);
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    EXPECT_TRUE(known.contains(left)) << merge;
    EXPECT_TRUE(known.contains(right)) << merge;
    EXPECT_TRUE(known.contains(left + right)) << merge;
  }
  EXPECT_EQ(tokens[test::kTinyImStart], "<|im_start|>");
  EXPECT_EQ(tokens[test::kTinyFirstByte], "!");
}

TEST(TinyModelTest, GreedyDecodingDoesNotFallIntoALoopAndDependsOnEarlyTokens) {
  const std::vector<std::byte> bytes = test::TinyModelBytes();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "tiny.gguf");
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  const auto run = [&](int32_t first) {
    std::vector<int32_t> ids = {first, 70, 71, 72};
    for (int i = 0; i < 24; ++i) {
      const std::vector<double> logits = test::ReferenceLogits(*file, *config, ids);
      const auto row = logits.end() - config->vocab;
      ids.push_back(static_cast<int32_t>(std::max_element(row, logits.end()) - row));
    }
    return ids;
  };
  const std::vector<int32_t> a = run(1), b = run(100);
  EXPECT_GE(std::set<int32_t>(a.begin() + 4, a.end()).size(), 8u);
  EXPECT_NE(std::vector<int32_t>(a.begin() + 4, a.end()),
            std::vector<int32_t>(b.begin() + 4, b.end()));
}

}  // namespace
}  // namespace intactkv
