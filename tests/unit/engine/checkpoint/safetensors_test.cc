#include "engine/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "tests/support/gguf_writer.h"
#include "tests/support/safetensors_writer.h"

namespace intactkv {
namespace {

using test::SafetensorsBytes;
using test::SafetensorsWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> Ramp(size_t count) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(i) * 0.5f - 3.0f;
  return out;
}

// The status of a file of one F32 tensor "t" of shape [2, 3] whose entry is `entry`.
absl::Status ParseEntry(const std::string& entry, size_t data_bytes = 24) {
  const std::vector<std::byte> bytes =
      SafetensorsBytes("{\"t\":" + entry + "}", std::vector<std::byte>(data_bytes));
  return SafetensorsFile::Parse(bytes, "x.safetensors").status();
}

TEST(SafetensorsTest, ReadsTensorsOfEachType) {
  SafetensorsWriter writer;
  const std::vector<float> values = Ramp(6);
  writer.AddTensor("b", TensorType::kF32, {2, 3}, values);
  writer.AddTensor("a", TensorType::kBF16, {6}, values);
  writer.AddTensor("c", TensorType::kF16, {1, 2, 3}, values);
  const test::SafetensorsImage image = writer.Build();
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(image.bytes, "x.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->file_bytes(), static_cast<int64_t>(image.bytes.size()));
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->tensors()[0].name, "b");
  EXPECT_THAT(file->tensors()[0].shape, ElementsAre(2, 3));
  EXPECT_THAT(file->tensors()[2].shape, ElementsAre(1, 2, 3));
  for (const SafetensorsTensor& tensor : file->tensors()) {
    EXPECT_EQ(test::DecodeTensor(tensor.type, tensor.data), values) << tensor.name;
  }
  EXPECT_EQ(file->tensors()[1].type, TensorType::kBF16);
}

TEST(SafetensorsTest, TheHeaderMayHaveAnyLengthAndOrder) {
  // Data that begin at an odd address, entries in another order than their data.
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
                             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  )";
  ASSERT_EQ(header.size() % 2, 1u);
  const std::vector<float> values = {1.5f, -2.0f};
  const std::vector<std::byte> bytes = SafetensorsBytes(header, std::as_bytes(std::span(values)));
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(bytes, "x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_THAT(test::DecodeTensor(TensorType::kF32, file->tensors()[1].data), ElementsAre(-2.0f));
}

TEST(SafetensorsTest, OpensAFileAndKeepsItMapped) {
  const std::string path = testing::TempDir() + "/x_" + std::to_string(::getpid()) + ".safetensors";
  SafetensorsWriter writer;
  writer.AddTensor("t", TensorType::kF32, {4}, Ramp(4));
  test::WriteBytes(path, writer.Build().bytes);
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  std::remove(path.c_str());
  ASSERT_TRUE(file.ok()) << file.status();
  const SafetensorsFile moved = *std::move(file);
  EXPECT_EQ(test::DecodeTensor(TensorType::kF32, moved.tensors()[0].data), Ramp(4));
  EXPECT_EQ(SafetensorsFile::Open(path).status().code(), absl::StatusCode::kNotFound);
}

TEST(SafetensorsTest, RefusesDamagedEntries) {
  EXPECT_TRUE(ParseEntry(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})").ok());
  struct Bad {
    const char* entry;
    const char* words;
  };
  for (const Bad& bad : {
           Bad{R"({"dtype":"F32","shape":[2,4],"data_offsets":[0,24]})",
               "tensor 't': data_offsets span 24 bytes, its shape and dtype need 32"},
           Bad{R"({"dtype":"F16","shape":[2,3],"data_offsets":[0,24]})", "need 12"},
           Bad{R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,25]})",
               "tensor 't': data_offsets end at 25, the file has 24 bytes of data"},
           Bad{R"({"dtype":"F32","shape":[2,2],"data_offsets":[8,24]})",
               "tensor 't': data_offsets leave a gap"},
           Bad{R"({"dtype":"F32","shape":[2,2],"data_offsets":[0,16]})",
               "header: the tensors need 16 bytes of data, the file has 24"},
           Bad{R"({"dtype":"F32","shape":[2,3],"data_offsets":[24,0]})", "not a begin and an end"},
           Bad{R"({"dtype":"F32","shape":[2,3],"data_offsets":[0]})", "not a begin and an end"},
           Bad{R"({"dtype":"F32","shape":[2,3],"data_offsets":[-1,23]})", "'t.data_offsets': -1"},
           Bad{R"({"dtype":"F32","shape":[2,3]})", "'t.data_offsets': is missing"},
           Bad{R"({"dtype":"F32","shape":6,"data_offsets":[0,24]})", "'t.shape'"},
           Bad{R"({"dtype":"F32","shape":[],"data_offsets":[0,4]})", "number of dimensions 0"},
           Bad{R"({"dtype":"F32","shape":[1,1,1,1,6],"data_offsets":[0,24]})", "dimensions 5"},
           Bad{R"({"dtype":"F32","shape":[0,3],"data_offsets":[0,0]})", "'t.shape': 0"},
           Bad{R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,24]})",
               "a dimension of size 4294967296 is too large"},
           Bad{R"({"dtype":"F32","shape":[1152921504606846976,16],"data_offsets":[0,24]})",
               "too large"},
           Bad{R"({"dtype":7,"shape":[2,3],"data_offsets":[0,24]})", "'t.dtype': is not a string"},
           Bad{R"([])", "key 't': is not an object"},
       }) {
    const absl::Status status = ParseEntry(bad.entry);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.entry;
    EXPECT_THAT(status.ToString(), HasSubstr("x.safetensors: "));
    EXPECT_THAT(status.ToString(), HasSubstr(bad.words));
  }
}

TEST(SafetensorsTest, RefusesOtherTypesByName) {
  for (const char* dtype : {"F64", "I64", "I32", "F8_E4M3", "U8", "BOOL", "q\\n"}) {
    const absl::Status status = ParseEntry(std::string(R"({"dtype":")") + dtype +
                                           R"(","shape":[2,3],"data_offsets":[0,24]})");
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << dtype;
    EXPECT_EQ(status.ToString().find('\n'), std::string::npos);
    EXPECT_THAT(status.ToString(), HasSubstr("serve a checkpoint in F32, F16 or BF16"));
  }
}

TEST(SafetensorsTest, RefusesOverlaps) {
  const std::string entry = R"({"dtype":"F32","shape":[2],"data_offsets":[)";
  const std::vector<std::byte> data(12);
  const std::vector<std::byte> bytes =
      SafetensorsBytes("{\"a\":" + entry + "0,8]},\"b\":" + entry + "4,12]}}", data);
  EXPECT_THAT(SafetensorsFile::Parse(bytes, "x").status().ToString(),
              HasSubstr("tensor 'b': data_offsets overlap"));
}

TEST(SafetensorsTest, RefusesDamagedHeaders) {
  const auto parse = [](const std::vector<std::byte>& bytes) {
    return SafetensorsFile::Parse(bytes, "x").status().ToString();
  };
  EXPECT_THAT(parse(std::vector<std::byte>(7)), HasSubstr("x: header: its length is cut off"));
  EXPECT_THAT(parse(std::vector<std::byte>(8)), HasSubstr("x: header: is not valid JSON"));
  EXPECT_THAT(parse(std::vector<std::byte>(64, std::byte{0xff})), HasSubstr("its length 1844674"));
  EXPECT_THAT(parse(SafetensorsBytes("[]", {})), HasSubstr("x: header: is not a JSON object"));
  EXPECT_THAT(parse(SafetensorsBytes(R"({"__metadata__":{"a":1}})", {})),
              HasSubstr("'__metadata__.a': is not a string"));
  EXPECT_THAT(parse(SafetensorsBytes(R"({"a":{"b":{"c":{}}}})", {})), HasSubstr("nested too deep"));
  EXPECT_THAT(parse(SafetensorsBytes(R"({"a\n":{}})", {})), HasSubstr("tensor 'a\\x0a'"));
  EXPECT_THAT(parse(SafetensorsBytes(R"({"":{}})", {})), HasSubstr("its name is empty"));
  EXPECT_EQ(parse(SafetensorsBytes("{}", {})), "OK");
}

}  // namespace
}  // namespace intactkv
