#include "server/main/gguf_text.h"

#include <gtest/gtest.h>

#include "engine/base/status_macros.h"
#include "tests/support/gguf_writer.h"

namespace intactkv {
namespace {

using test::GgufWriter;

struct Key {
  const char* name;
  bool required;
};
constexpr Key kKeys[] = {
    {"tokenizer.ggml.model", true},          {"tokenizer.ggml.pre", false},
    {"tokenizer.ggml.tokens", true},         {"tokenizer.ggml.token_type", true},
    {"tokenizer.ggml.merges", false},        {"tokenizer.ggml.bos_token_id", false},
    {"tokenizer.ggml.eos_token_id", false},  {"tokenizer.ggml.add_bos_token", false},
    {"tokenizer.ggml.add_eos_token", false}, {"tokenizer.ggml.unknown_token_id", false},
    {"tokenizer.ggml.scores", false},        {"tokenizer.ggml.add_space_prefix", false},
    {"tokenizer.chat_template", false},
};

GgufWriter Whole() {
  GgufWriter writer;
  writer.AddString("tokenizer.ggml.model", "gpt2");
  writer.AddString("tokenizer.ggml.pre", "smollm");
  writer.AddStringArray("tokenizer.ggml.tokens", {"a", "b", "ab"});
  writer.AddInt32Array("tokenizer.ggml.token_type", {1, 3, -7});
  writer.AddStringArray("tokenizer.ggml.merges", {"a b"});
  writer.AddUint32("tokenizer.ggml.bos_token_id", 1);
  writer.AddUint32("tokenizer.ggml.eos_token_id", 2);
  writer.AddBool("tokenizer.ggml.add_bos_token", true);
  writer.AddBool("tokenizer.ggml.add_eos_token", false);
  writer.AddUint32("tokenizer.ggml.unknown_token_id", 0);
  writer.AddFloat32Array("tokenizer.ggml.scores", {0.0f, -1.0f, -2.5f});
  writer.AddBool("tokenizer.ggml.add_space_prefix", false);
  writer.AddString("tokenizer.chat_template", "{{ messages }}");
  return writer;
}

absl::StatusOr<TokenizerData> Read(GgufWriter writer) {
  writer.AddTensor("t", TensorType::kF32, {1}, std::vector<float>{0.0f});  // a file has one
  const test::GgufImage image = writer.Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "test.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return file.status();
  return ReadTokenizerData(*file);
}

TEST(GgufTextTest, ReadsEveryKey) {
  const absl::StatusOr<TokenizerData> data = Read(Whole());
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->model, "gpt2");
  EXPECT_EQ(data->pre, "smollm");
  EXPECT_EQ(data->tokens, (std::vector<std::string>{"a", "b", "ab"}));
  EXPECT_EQ(data->token_types, (std::vector<int32_t>{1, 3, -7}));
  EXPECT_EQ(data->merges, std::vector<std::string>{"a b"});
  EXPECT_EQ(data->bos_id, 1);
  EXPECT_EQ(data->eos_id, 2);
  EXPECT_EQ(data->add_bos, true);
  EXPECT_EQ(data->add_eos, false);
  EXPECT_EQ(data->unk_id, 0);
  EXPECT_EQ(data->scores, (std::vector<float>{0.0f, -1.0f, -2.5f}));
  ASSERT_TRUE(data->space.has_value());
  EXPECT_EQ(data->space->prefix, SpacePrefix::kNever);
  EXPECT_FALSE(data->space->decode_strips);
  EXPECT_EQ(data->chat_template, "{{ messages }}");
}

TEST(GgufTextTest, WhatMayBeMissingHasADefaultAndTheRestIsNamed) {
  for (const Key& key : kKeys) {
    SCOPED_TRACE(key.name);
    GgufWriter writer = Whole();
    writer.RemoveKey(key.name);
    const absl::StatusOr<TokenizerData> data = Read(writer);
    EXPECT_EQ(data.ok(), !key.required);
    if (key.required) {
      EXPECT_NE(ToStd(data.status().message()).find(key.name), std::string::npos) << data.status();
    }
  }
  GgufWriter least;
  least.AddString("tokenizer.ggml.model", "gpt2");
  least.AddStringArray("tokenizer.ggml.tokens", {"a"});
  least.AddInt32Array("tokenizer.ggml.token_type", {1});
  const absl::StatusOr<TokenizerData> data = Read(least);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(data->pre, "");
  EXPECT_TRUE(data->merges.empty());
  EXPECT_EQ(data->bos_id, -1);
  EXPECT_EQ(data->eos_id, -1);
  EXPECT_FALSE(data->add_bos.has_value());
  EXPECT_FALSE(data->add_eos.has_value());
  EXPECT_FALSE(data->space.has_value());
  EXPECT_TRUE(data->scores.empty());
  EXPECT_EQ(data->unk_id, -1);
  EXPECT_EQ(data->chat_template, "");
}

TEST(GgufTextTest, AnotherTypeIsNamed) {
  for (const Key& key : kKeys) {
    GgufWriter writer = Whole();
    writer.RemoveKey(key.name);
    writer.AddFloat32(key.name, 1.5f);
    const absl::Status status = Read(writer).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << key.name;
    EXPECT_NE(ToStd(status.message()).find(key.name), std::string::npos) << status;
  }
}

// An int64 in little-endian bytes.
std::vector<std::byte> Bytes(int64_t value) {
  std::vector<std::byte> bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i) & 0xff));
  }
  return bytes;
}

TEST(GgufTextTest, IdsOnBothEdges) {
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"}) {
    const auto with = [&](int64_t id) {
      GgufWriter writer = Whole();
      writer.RemoveKey(key);
      writer.AddRaw(key, GgufValueType::kInt64, Bytes(id));
      return Read(writer);
    };
    for (const int64_t id : {int64_t{0}, int64_t{2'147'483'647}}) {
      const auto data = with(id);
      ASSERT_TRUE(data.ok()) << data.status();
      const int got =
          std::string(key).find("bos") != std::string::npos ? data->bos_id : data->eos_id;
      EXPECT_EQ(got, id);
    }
    for (const int64_t id : {int64_t{-1}, int64_t{2'147'483'648}, int64_t{4'294'967'297}}) {
      const absl::Status status = with(id).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << id;
      EXPECT_NE(ToStd(status.message()).find(key), std::string::npos) << status;
    }
  }
}

TEST(GgufTextTest, TokenTypesThatAreNone) {
  GgufWriter writer = Whole();
  writer.RemoveKey("tokenizer.ggml.token_type");
  std::vector<std::byte> bytes;  // element type, length, one element
  for (int i = 0; i < 4; ++i) {
    bytes.push_back(static_cast<std::byte>(i == 0 ? static_cast<int>(GgufValueType::kInt64) : 0));
  }
  for (const int64_t value : {int64_t{1}, int64_t{2'147'483'648}}) {
    for (const std::byte b : Bytes(value)) bytes.push_back(b);
  }
  writer.AddRaw("tokenizer.ggml.token_type", GgufValueType::kArray, bytes);
  const absl::Status status = Read(writer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(ToStd(status.message()).find("token_type"), std::string::npos) << status;
}

}  // namespace
}  // namespace intactkv
