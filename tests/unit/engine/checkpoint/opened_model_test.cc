#include "engine/checkpoint/opened_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/model_directory_writer.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using test::DirectoryFiles;
using test::ToBytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OpenedModelTest : public ::testing::Test {
 protected:
  OpenedModelTest() : path_(testing::TempDir() + "/opened_" + std::to_string(::getpid())) {}
  ~OpenedModelTest() override { std::filesystem::remove_all(path_); }

  absl::StatusOr<DirectoryTexts> Texts(const DirectoryFiles& files) {
    test::WriteDirectory(path_, files);
    const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path_);
    if (!model.ok()) return model.status();
    return model->ReadTexts();
  }

  const std::string path_;
};

TEST_F(OpenedModelTest, AFileIsGguf) {
  test::WriteTinyModel(path_);
  const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path_);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_NE(model->gguf(), nullptr);
  EXPECT_EQ(&model->weights(), model->gguf());
  EXPECT_EQ(model->config().vocab, 320);
  EXPECT_THAT(model->Describe(), HasSubstr("GGUF v3"));
}

TEST_F(OpenedModelTest, ADirectoryIsDescribedLikeAFile) {
  test::WriteDirectory(path_,
                       test::TinyModelDirectory({.type = TensorType::kBF16, .num_shards = 2}));
  const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path_ + "//");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->gguf(), nullptr);
  EXPECT_EQ(model->weights().path(), path_) << "without the slashes";
  const std::string text = model->Describe();
  EXPECT_THAT(text, HasSubstr("safetensors in 2 files)\n"));
  EXPECT_THAT(text, HasSubstr("architecture     llama\n"));
  EXPECT_THAT(text, HasSubstr("2 query, 1 key/value, size 32\n"));
  EXPECT_THAT(text, HasSubstr("12: 12 BF16 (86.4 kB)\n"));
  EXPECT_THAT(text, HasSubstr("tokenizer        none\n"));
}

TEST_F(OpenedModelTest, HandsOverTheTexts) {
  DirectoryFiles files = test::TinyModelDirectory();
  const absl::StatusOr<DirectoryTexts> bare = Texts(files);
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_EQ(bare->path, path_);
  EXPECT_EQ(bare->tokenizer_json, "");
  EXPECT_EQ(bare->chat_template, "");
  EXPECT_THAT(bare->eos_ids, ElementsAre(2)) << "of config.json";
  files["tokenizer.json"] = ToBytes("{\"model\": {}}");
  files["tokenizer_config.json"] = ToBytes("{\"add_bos_token\": true}");
  files["chat_template.jinja"] = ToBytes("{{ messages }}");
  files["generation_config.json"] = ToBytes("{\"eos_token_id\": [5, 6]}");
  const absl::StatusOr<DirectoryTexts> texts = Texts(files);
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->tokenizer_json, "{\"model\": {}}");
  EXPECT_EQ(texts->tokenizer_config_json, "{\"add_bos_token\": true}");
  EXPECT_EQ(texts->chat_template, "{{ messages }}");
  EXPECT_THAT(texts->eos_ids, ElementsAre(5, 6)) << "generation_config.json wins";
  files["generation_config.json"] = ToBytes("{}");
  EXPECT_THAT(Texts(files)->eos_ids, ElementsAre(2));
  files = test::WithText(files, "config.json", R"("eos_token_id": 2, )", "");
  EXPECT_THAT(Texts(files)->eos_ids, IsEmpty());
}

TEST_F(OpenedModelTest, DamagedTextsAreNamed) {
  DirectoryFiles files = test::TinyModelDirectory();
  files["generation_config.json"] = ToBytes("{\"eos_token_id\": -1}");
  EXPECT_THAT(Texts(files).status().ToString(),
              HasSubstr(path_ + "/generation_config.json: key 'eos_token_id': -1"));
  files["generation_config.json"] = ToBytes("{");
  EXPECT_THAT(Texts(files).status().ToString(),
              HasSubstr(path_ + "/generation_config.json: is not valid JSON"));
  files.erase("generation_config.json");
  files["chat_template.jinja"] = std::vector<std::byte>((size_t{16} << 20) + 1);
  EXPECT_THAT(Texts(files).status().ToString(), HasSubstr("/chat_template.jinja: has 16777217"));
}

TEST_F(OpenedModelTest, WhatIsNotThereIsNamed) {
  EXPECT_EQ(OpenedModel::Open(path_ + "/nothing").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace intactkv
