#include "engine/checkpoint/model_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "engine/model/float_vector.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/model_directory_writer.h"
#include "tests/support/safetensors_writer.h"

namespace intactkv {
namespace {

using test::DirectoryFiles;
using test::TinyModelDirectory;
using test::WithText;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kIndex[] = "model.safetensors.index.json";
constexpr char kSecond[] = "model-00002-of-00002.safetensors";

class ModelDirectoryTest : public ::testing::Test {
 protected:
  ModelDirectoryTest() : path_(testing::TempDir() + "/directory_" + std::to_string(::getpid())) {}
  ~ModelDirectoryTest() override { std::filesystem::remove_all(path_); }

  absl::StatusOr<ModelDirectory> Open(const DirectoryFiles& files) {
    test::WriteDirectory(path_, files);
    return ModelDirectory::Open(path_);
  }
  void ExpectRefused(const DirectoryFiles& files, const std::string& words) {
    const absl::Status status = Open(files).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.ToString(), HasSubstr(path_));
    EXPECT_THAT(status.ToString(), HasSubstr(words));
    EXPECT_EQ(status.ToString().find('\n'), std::string::npos) << status;
  }

  const std::string path_;
};

TEST_F(ModelDirectoryTest, GivesTensorsTheirNamesAndColumnsFirst) {
  const absl::StatusOr<ModelDirectory> model = Open(TinyModelDirectory());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->num_shards(), 1);
  EXPECT_EQ(model->tensors().size(), 12u);
  const WeightTensor* up = model->FindTensor("blk.0.ffn_up.weight");
  ASSERT_NE(up, nullptr);
  EXPECT_THAT(up->shape, ElementsAre(64, 96));
  EXPECT_EQ(model->FindTensor("model.layers.0.mlp.up_proj.weight"), nullptr);
  // Messages and backends hear the file's own name and order.
  EXPECT_EQ(model->Where("blk.0.ffn_up.weight"),
            path_ + ": tensor 'model.layers.0.mlp.up_proj.weight'");
  EXPECT_EQ(model->DescribeShape(up->shape), "[96, 64]");
  EXPECT_EQ(model->ToHostTensor(*up).name, "model.layers.0.mlp.up_proj.weight");
  EXPECT_EQ(model->ToHostTensor(*up).rows, 96);
  EXPECT_TRUE(ReadFloatVector(*model, "output_norm.weight", 64).ok());
  EXPECT_THAT(model->config().name, HasSubstr("directory_"));
}

TEST_F(ModelDirectoryTest, ShardsAndAWholeFileAreTheSameTensors) {
  const absl::StatusOr<ModelDirectory> whole = Open(TinyModelDirectory());
  ASSERT_TRUE(whole.ok());
  const absl::StatusOr<ModelDirectory> shards = Open(TinyModelDirectory({.num_shards = 3}));
  ASSERT_TRUE(shards.ok()) << shards.status();
  EXPECT_EQ(shards->num_shards(), 3);
  EXPECT_EQ(shards->tensors().size(), 12u);
  EXPECT_EQ(ModelIdentity(*whole, whole->config()), ModelIdentity(*shards, shards->config()));
}

TEST_F(ModelDirectoryTest, ATiedHeadAndRopeBuffersAreLeftAside) {
  DirectoryFiles files = TinyModelDirectory();  // has a head of its own
  files = WithText(files, "config.json", R"("tie_word_embeddings": false)",
                   R"("tie_word_embeddings": true)");
  const absl::StatusOr<ModelDirectory> tied = Open(files);
  ASSERT_TRUE(tied.ok()) << tied.status();
  EXPECT_EQ(tied->FindTensor("output.weight"), nullptr);

  files = TinyModelDirectory({.num_shards = 2});
  test::SafetensorsWriter buffers;
  buffers.AddTensor("model.layers.0.self_attn.rotary_emb.inv_freq", TensorType::kF32, {16},
                    std::vector<float>(16));
  files["more.safetensors"] = buffers.Build().bytes;
  files = WithText(files, kIndex, R"("weight_map": {)",
                   R"("weight_map": {"model.layers.0.self_attn.rotary_emb.inv_freq": )"
                   R"("more.safetensors", )");
  EXPECT_TRUE(Open(files).ok()) << Open(files).status();
}

TEST_F(ModelDirectoryTest, WhatIsMissingIsNamed) {
  DirectoryFiles files = TinyModelDirectory();
  files.erase("config.json");
  ExpectRefused(files, "is a directory without config.json");
  files = TinyModelDirectory();
  files.erase("model.safetensors");
  ExpectRefused(files, "has neither model.safetensors nor model.safetensors.index.json");
  files = TinyModelDirectory({.num_shards = 2});
  files.erase(kSecond);
  ExpectRefused(files, std::string(kSecond) + ": cannot be opened");
  ExpectRefused(WithText(TinyModelDirectory(), "config.json", R"("num_hidden_layers": 1)",
                         R"("num_hidden_layers": 2)"),
                "tensor 'model.layers.1.input_layernorm.weight': is missing");
  ExpectRefused(
      WithText(TinyModelDirectory({.tied_embeddings = true}), "config.json", "true}", "false}"),
      "tensor 'lm_head.weight': is missing");
}

TEST_F(ModelDirectoryTest, TensorsThatDoNotFitAreNamed) {
  ExpectRefused(WithText(TinyModelDirectory(), "config.json", R"("intermediate_size": 96)",
                         R"("intermediate_size": 128)"),
                "tensor 'model.layers.0.mlp.gate_proj.weight': shape [96, 64] must be [128, 64]");
  ExpectRefused(WithText(TinyModelDirectory(), "model.safetensors", "self_attn.q_proj.weight",
                         "self_attn.x_proj.weight"),
                "tensor 'model.layers.0.self_attn.x_proj.weight': is not part of a llama model");
  ExpectRefused(WithText(TinyModelDirectory({.model_type = "qwen2"}), "config.json",
                         R"(["Qwen2ForCausalLM"], "model_type": "qwen2")",
                         R"(["LlamaForCausalLM"], "model_type": "llama")"),
                "tensor 'model.layers.0.self_attn.q_proj.bias': is not part of a llama model");
  ExpectRefused(WithText(TinyModelDirectory({.model_type = "qwen3"}), "model.safetensors",
                         "\"shape\":[32]", "\"shape\":[16]"),
                "q_norm.weight': data_offsets span");
}

TEST_F(ModelDirectoryTest, IndexAndShardsMustAgree) {
  const DirectoryFiles files = TinyModelDirectory({.num_shards = 2});
  EXPECT_TRUE(Open(files).ok());
  ExpectRefused(WithText(files, kIndex, kSecond, "../" + std::string(kSecond)),
                "is not the name of a .safetensors file beside the index");
  ExpectRefused(WithText(files, kIndex, kSecond, "x.bin"), "'x.bin' is not the name");
  ExpectRefused(WithText(files, kIndex, "weight_map", "weights"), "'weight_map': is missing");
  ExpectRefused(WithText(files, kIndex, R"("weight_map": {)",
                         R"("weight_map": {"ghost": ")" + std::string(kSecond) + "\", "),
                "'weight_map.ghost': " + std::string(kSecond) + " has no such tensor");
  ExpectRefused(WithText(files, kIndex, "model.norm.weight", "model.norm.bias"),
                "tensor 'model.norm.weight': model.safetensors.index.json does not list it");
  // The norm is said to be in the other shard.
  const std::string entry = R"("model.norm.weight": "model-0000)";
  const std::string text = test::ToText(files.at(kIndex));
  const char shard = text[text.find(entry) + entry.size()];
  ExpectRefused(WithText(files, kIndex, entry + shard, entry + (shard == '1' ? '2' : '1')),
                "tensor 'model.norm.weight': model.safetensors.index.json does not list it");
}

}  // namespace
}  // namespace intactkv
