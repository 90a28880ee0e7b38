// The default model, when it is on this machine: what decisions about it rest on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>

#include "engine/model/gguf.h"
#include "engine/model/inspect.h"
#include "engine/model/model_config.h"

namespace intactkv {
namespace {

std::optional<std::string> DefaultModelPath() {
  const auto get = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  std::string path = get("INTACTKV_TEST_MODEL");
  if (path.empty()) {
    const std::string cache = get("XDG_CACHE_HOME");
    path = (cache.empty() ? get("HOME") + "/.cache" : cache) +
           "/intactkv/SmolLM2-135M-Instruct.Q4_1.gguf";
  }
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

TEST(DefaultModelTest, HasTheKnownTensorsAndShape) {
  const std::optional<std::string> path = DefaultModelPath();
  if (!path) GTEST_SKIP() << "the default model is not here; scripts/fetch-model.sh fetches it";
  const absl::StatusOr<GgufFile> file = GgufFile::Open(*path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->file_bytes(), 98'362'432);
  std::map<TensorType, int> counts;
  for (const GgufTensor& tensor : file->tensors()) ++counts[tensor.type];
  EXPECT_EQ(counts, (std::map<TensorType, int>{
                        {TensorType::kF32, 61}, {TensorType::kQ8_0, 1}, {TensorType::kQ4_1, 210}}));
  const GgufTensor* embedding = file->FindTensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->type, TensorType::kQ8_0);

  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->num_layers, 30);
  EXPECT_EQ(config->hidden, 576);
  EXPECT_EQ(config->ffn, 1536);
  EXPECT_EQ(config->num_q_heads, 9);
  EXPECT_EQ(config->num_kv_heads, 3);
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_EQ(config->vocab, 49152);
  EXPECT_EQ(config->context_length, 8192);
  EXPECT_EQ(config->rope_freq_base, 100'000.0f);
  EXPECT_TRUE(config->tied_embeddings);
  EXPECT_EQ(*file->GetString("tokenizer.ggml.pre"), "smollm");
  EXPECT_EQ(file->GetStringArray("tokenizer.ggml.merges")->size(), 48'900u);
  EXPECT_THAT(DescribeModel(*file, *config),
              ::testing::HasSubstr("272: 61 F32 (140.5 kB), 210 Q4_1 (66.4 MB), 1 Q8_0 (30.1 MB)"));
}

}  // namespace
}  // namespace intactkv
