#include "engine/model/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;

TEST(InspectTest, FormatsBytesInPowersOfTen) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(999'949), "999.9 kB");
  EXPECT_EQ(FormatBytes(999'950), "1.0 MB");
  EXPECT_EQ(FormatBytes(98'362'432), "98.4 MB");
  EXPECT_EQ(FormatBytes(5'000'000'000'000'000), "5000.0 TB");
}

TEST(InspectTest, SaysWhatTheModelIs) {
  const std::vector<std::byte> bytes = test::TinyModelBytes();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "tiny.gguf");
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok());
  const std::string text = DescribeModel(*file, *config);
  EXPECT_THAT(text, HasSubstr("architecture     llama\n"));
  EXPECT_THAT(text, HasSubstr("6 query, 2 key/value, size 64\n"));
  EXPECT_THAT(text, HasSubstr("context          4096 tokens\n"));
  // 320 x 192 and per layer 2 x 192 x 384 + 2 x 192 x 128 + 3 x 192 x 256 + 2 norms; 5 norms.
  EXPECT_THAT(text, HasSubstr("parameters       750528\n"));
  EXPECT_THAT(text, HasSubstr("20: 20 F32 (3.0 MB)\n"));
  EXPECT_THAT(text, HasSubstr("gpt2, pre-tokenizer smollm, 320 tokens, 48 merges"));
  EXPECT_THAT(text, HasSubstr("head tied to the embedding\n"));
  // 2 layers x 2 heads x (K and V) x 64 x 4 bytes, and so on.
  EXPECT_THAT(text,
              HasSubstr("2048 f32, 1024 bf16, 560 int8, 432 k8v4, 304 int4 (bytes per token)\n"));
  EXPECT_THAT(text, HasSubstr("one full context in int8 pages 2.3 MB"));
}

TEST(InspectTest, NamesEveryTensorType) {
  const std::vector<std::byte> bytes = test::TinyModelBytes(test::MixedTinyModel());
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "tiny.gguf");
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  const std::string text = DescribeModel(*file, *config);
  for (const char* part :
       {"1 F16 (", "5 F32 (", "1 Q2_K (", "1 Q3_K (", "1 Q4_0 (", "1 Q4_1 (", "2 Q4_K (",
        "2 Q5_0 (", "1 Q5_1 (", "2 Q5_K (", "2 Q6_K (", "1 Q8_0 ("}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(InspectTest, SurvivesAFileWithoutTokenizer) {
  test::GgufWriter writer = test::TinyModelWriter({.tied_embeddings = false});
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens",
                          "tokenizer.ggml.merges", "tokenizer.chat_template"}) {
    writer.RemoveKey(key);
  }
  writer.AddFloat32("llama.rope.scale_linear", 2.5f);
  const test::GgufImage image = writer.Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "tiny.gguf");
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  const std::string text = DescribeModel(*file, *config);
  EXPECT_THAT(text, HasSubstr("none, pre-tokenizer none, 0 tokens, 0 merges, chat template no\n"));
  EXPECT_THAT(text, HasSubstr("base 10000, linear factor 2.5\n"));
  EXPECT_THAT(text, HasSubstr("head of its own\n"));
}

}  // namespace
}  // namespace intactkv
