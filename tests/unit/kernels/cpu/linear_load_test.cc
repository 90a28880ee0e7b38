// How linear weights are loaded: what the tiles hold, which part, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu/cpu_linear.h"
#include "tests/unit/kernels/cpu/linear_rig.h"

namespace intactkv {
namespace {

TEST(LinearLoadTest, StoredTilesAreTheFileBitForBit) {
  ThreadPool pool(2);
  for (const TensorType type : kStoredTypes) {
    const TestTensor tensor = MakeTensor(type, 50, 512, 31);
    const auto w = MustLoad(Spec(tensor.host), &pool);
    const auto block = static_cast<BlockType>(type);
    std::vector<float> file(50 * 512);
    for (size_t n = 0; n < 50; ++n) {
      DequantizeBlocks(block, tensor.bytes.data() + n * RowBytes(block, 512), 512, &file[n * 512]);
    }
    EXPECT_TRUE(SameBits(Dense(*w), file));
    const auto f32 = MustLoad(Spec(tensor.host, WeightFormat::kF32), &pool);
    EXPECT_TRUE(SameBits(Dense(*f32), file));
  }
}

// Rounding anew costs at most half a step of the group's range, and what fp16 takes from the ends.
TEST(LinearLoadTest, RoundedTilesStayWithinHalfAStepOfTheFile) {
  ThreadPool pool(2);
  for (const TensorType type : kStoredTypes) {
    const TestTensor tensor = MakeTensor(type, 20, 512, 71);
    const std::vector<float> file = Dense(*MustLoad(Spec(tensor.host, WeightFormat::kF32), &pool));
    for (const auto& [format, top] :
         {std::pair{WeightFormat::kInt8, 255.0f}, std::pair{WeightFormat::kInt4, 15.0f}}) {
      const auto w = MustLoad(Spec(tensor.host, format), &pool);
      const std::vector<float> got = Dense(*w);
      if (w->format_name() != "int8" && w->format_name() != "int4") {
        EXPECT_TRUE(SameBits(got, file)) << w->format_name();  // kept: it has that width
        continue;
      }
      int moved = 0;
      for (size_t at = 0; at < file.size(); at += kWeightGroup) {
        const auto [low, high] = std::minmax_element(&file[at], &file[at] + kWeightGroup);
        const float ends = (std::fabs(*low) + std::fabs(*high)) * 0x1p-10f;
        for (size_t i = at; i < at + kWeightGroup; ++i) {
          ASSERT_LE(std::fabs(got[i] - file[i]), (*high - *low) / top * 0.5f + ends);
          moved += got[i] == file[i] ? 0 : 1;
        }
      }
      EXPECT_GT(moved, 0);
    }
  }
}

TEST(LinearLoadTest, RangesKeepTheirPart) {
  ThreadPool pool(1);
  for (const FormatCase& c : kFormats) {
    const int64_t unit = std::max<int64_t>(32, BlockColumns(static_cast<BlockType>(c.type)));
    const TestTensor tensor = MakeTensor(c.type, 40, 4 * unit, 41);
    const auto whole = MustLoad(Spec(tensor.host, c.format), &pool);
    const auto part = MustLoad(Part(Spec(tensor.host, c.format), {.begin = 3, .end = 22},
                                    {.begin = unit, .end = 3 * unit}),
                               &pool);
    ASSERT_EQ(part->rows(), 19);
    ASSERT_EQ(part->cols(), 2 * unit);
    EXPECT_LT(part->bytes(), whole->bytes());
    const std::vector<float> all = Dense(*whole);
    const std::vector<float> some = Dense(*part);
    const auto u = static_cast<size_t>(unit);
    for (size_t n = 0; n < 19; ++n) {
      EXPECT_TRUE(SameBits({&some[n * 2 * u], 2 * u}, {&all[(n + 3) * 4 * u + u], 2 * u}))
          << c.name;
    }
  }
}

TEST(LinearLoadTest, RefusesByName) {
  ThreadPool pool(1);
  TestTensor tensor = MakeTensor(TensorType::kF32, 4, 64, 51);
  tensor.host.name = "blk.3.ffn_up";
  const auto expect = [&](const LinearSpec& spec, absl::StatusCode code) {
    const auto got = CpuLinear::Load(spec, &pool);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.status().code(), code);
    EXPECT_NE(std::string(got.status().message()).find("blk.3.ffn_up"), std::string::npos);
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  expect(Spec(tensor.host, WeightFormat::kBF16), absl::StatusCode::kUnimplemented);
  expect(Part(Spec(tensor.host), {.begin = 0, .end = 5}, {}), invalid);
  expect(Part(Spec(tensor.host), {.begin = 2, .end = 2}, {}), invalid);
  expect(Part(Spec(tensor.host), {.begin = -1, .end = 2}, {}), invalid);
  expect(Part(Spec(tensor.host), {}, {.begin = 16, .end = 48}), invalid);
  expect(Part(Spec(tensor.host), {}, {.begin = 32, .end = 96}), invalid);
  const float nan = std::nanf("");
  std::memcpy(tensor.bytes.data(), &nan, sizeof(nan));
  expect(Spec(tensor.host, WeightFormat::kInt8), invalid);
  EXPECT_TRUE(CpuLinear::Load(Spec(tensor.host, WeightFormat::kF32), &pool).ok());
  tensor.host.data = nullptr;
  expect(Spec(tensor.host), invalid);
  TestTensor blocks = MakeTensor(TensorType::kQ4_K, 4, 512, 52);
  blocks.host.name = tensor.host.name;
  expect(Part(Spec(blocks.host), {}, {.begin = 128, .end = 384}), invalid);  // half blocks
}

}  // namespace
}  // namespace intactkv
