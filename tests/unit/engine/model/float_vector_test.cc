#include "engine/model/float_vector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/half_float.h"
#include "tests/support/gguf_writer.h"

namespace intactkv {
namespace {

using test::GgufImage;
using test::GgufWriter;
using ::testing::HasSubstr;

std::vector<float> Ramp(size_t size) {
  std::vector<float> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = 0.25f * static_cast<float>(i) - 3.0f;
  return out;
}

TEST(FloatVectorTest, ConvertsHalvesExactlyAtTheirEdges) {
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(HalfToFloat(0xc000), -2.0f);
  EXPECT_EQ(HalfToFloat(0x7bff), 65504.0f);
  EXPECT_EQ(HalfToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(HalfToFloat(0x03ff), 1023 * 0x1p-24f);
  EXPECT_EQ(HalfToFloat(0x0400), 0x1p-14f);
  EXPECT_EQ(std::signbit(HalfToFloat(0x8000)), true);
  EXPECT_EQ(HalfToFloat(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7e00)));
  EXPECT_EQ(Bfloat16ToFloat(0x3f80), 1.0f);
  EXPECT_EQ(Bfloat16ToFloat(0xff80), -std::numeric_limits<float>::infinity());
}

TEST(FloatVectorTest, ReadsFloatTypesAndRefusesOthers) {
  GgufWriter writer;
  const std::vector<float> values = Ramp(32);
  writer.AddTensor("f32", TensorType::kF32, {32}, values);
  writer.AddTensor("f16", TensorType::kF16, {32}, values);
  writer.AddTensor("bf16", TensorType::kBF16, {32}, values);
  writer.AddTensor("q8", TensorType::kQ8_0, {32}, values);
  writer.AddTensor("matrix", TensorType::kF32, {16, 2}, values);
  const GgufImage image = writer.Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  ASSERT_TRUE(file.ok());
  for (const char* name : {"f32", "f16", "bf16"}) {
    EXPECT_EQ(*ReadFloatVector(*file, name, 32), values) << name;
  }
  EXPECT_THAT(ReadFloatVector(*file, "q8", 32).status().ToString(),
              HasSubstr("tensor 'q8': type Q8_0 must be"));
  EXPECT_THAT(ReadFloatVector(*file, "f32", 31).status().ToString(),
              HasSubstr("tensor 'f32': shape [32] must be [31]"));
  EXPECT_FALSE(ReadFloatVector(*file, "matrix", 16).ok());
  EXPECT_TRUE(absl::IsNotFound(ReadFloatVector(*file, "absent", 1).status()));
}

}  // namespace
}  // namespace intactkv
