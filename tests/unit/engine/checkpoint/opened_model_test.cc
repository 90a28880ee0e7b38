#include "engine/checkpoint/opened_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/model_directory_writer.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;

class OpenedModelTest : public ::testing::Test {
 protected:
  OpenedModelTest() : path_(testing::TempDir() + "/opened_" + std::to_string(::getpid())) {}
  ~OpenedModelTest() override { std::filesystem::remove_all(path_); }

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
  const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path_ + "/");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->gguf(), nullptr);
  const std::string text = model->Describe();
  EXPECT_THAT(text, HasSubstr("safetensors in 2 files)\n"));
  EXPECT_THAT(text, HasSubstr("architecture     llama\n"));
  EXPECT_THAT(text, HasSubstr("2 query, 1 key/value, size 32\n"));
  EXPECT_THAT(text, HasSubstr("12: 12 BF16 (86.4 kB)\n"));
  EXPECT_THAT(text, HasSubstr("tokenizer        none\n"));
}

TEST_F(OpenedModelTest, WhatIsNotThereIsNamed) {
  EXPECT_EQ(OpenedModel::Open(path_ + "/nothing").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace intactkv
