#include "kernels/quant/weight_format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/quant/half.h"

namespace intactkv {
namespace {

TEST(HalfTest, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float value = HalfToFloat(static_cast<uint16_t>(h));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
      continue;
    }
    EXPECT_EQ(FloatToHalf(value), h) << value;
  }
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(HalfToFloat(0x0001), 0x1.0p-24f);
  EXPECT_EQ(HalfToFloat(0xfbff), -65504.0f);
}

TEST(HalfTest, RoundsToNearestEven) {
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const double low = HalfToFloat(static_cast<uint16_t>(h));
    const double high = HalfToFloat(static_cast<uint16_t>(h + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // exact
    const auto even = static_cast<uint16_t>(h + (h & 1));
    EXPECT_EQ(FloatToHalf(middle), even) << h;
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), h);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), h + 1);
  }
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::infinity()), 0xfc00);
}

std::vector<std::byte> RandomBlocks(BlockType type, int64_t cols, uint64_t seed) {
  std::vector<std::byte> out(RowBytes(type, cols));
  Rng rng(seed);
  for (std::byte& b : out) b = static_cast<std::byte>(rng());
  return out;
}

uint16_t U16(const std::byte* at) {
  uint16_t out;
  std::memcpy(&out, at, 2);
  return out;
}

// Straight from the comment in kernels/api/tensor.h; blocks hold any bits, fp16 specials included.
TEST(WeightFormatTest, DequantizesBlocksAsDefined) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    float x[32];
    const auto q8 = RandomBlocks(BlockType::kQ8_0, 32, seed);
    DequantizeBlocks(BlockType::kQ8_0, q8.data(), 32, x);
    for (size_t i = 0; i < 32; ++i) {
      const float want =
          HalfToFloat(U16(q8.data())) * static_cast<float>(static_cast<int8_t>(q8[2 + i]));
      EXPECT_TRUE(x[i] == want || (std::isnan(x[i]) && std::isnan(want)));
    }
    const auto q40 = RandomBlocks(BlockType::kQ4_0, 32, seed);
    DequantizeBlocks(BlockType::kQ4_0, q40.data(), 32, x);
    const auto q41 = RandomBlocks(BlockType::kQ4_1, 32, seed);
    float y[32];
    DequantizeBlocks(BlockType::kQ4_1, q41.data(), 32, y);
    for (size_t i = 0; i < 32; ++i) {
      const int shift = i < 16 ? 0 : 4;
      const int n0 = static_cast<int>(q40[2 + i % 16]) >> shift & 15;
      const float want0 = HalfToFloat(U16(q40.data())) * static_cast<float>(n0 - 8);
      EXPECT_TRUE(x[i] == want0 || (std::isnan(x[i]) && std::isnan(want0)));
      const int n1 = static_cast<int>(q41[4 + i % 16]) >> shift & 15;
      const float want1 =
          HalfToFloat(U16(q41.data())) * static_cast<float>(n1) + HalfToFloat(U16(q41.data() + 2));
      EXPECT_TRUE(y[i] == want1 || (std::isnan(y[i]) && std::isnan(want1)));
    }
  }
}

TEST(WeightFormatTest, DequantizesFloatTypes) {
  const float f32[3] = {1.5f, -0.0f, 3e38f};
  float out[3];
  DequantizeBlocks(BlockType::kF32, reinterpret_cast<const std::byte*>(f32), 3, out);
  EXPECT_EQ(std::memcmp(f32, out, sizeof(out)), 0);
  const uint16_t f16[3] = {0x3c00, 0x8001, 0x7bff};
  DequantizeBlocks(BlockType::kF16, reinterpret_cast<const std::byte*>(f16), 3, out);
  EXPECT_EQ(out[1], -0x1.0p-24f);
  EXPECT_EQ(out[2], 65504.0f);
  const uint16_t bf16[3] = {0x3f80, 0xc000, 0x4049};
  DequantizeBlocks(BlockType::kBF16, reinterpret_cast<const std::byte*>(bf16), 3, out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
  EXPECT_EQ(out[2], 3.140625f);
}

TEST(WeightFormatTest, RoundToNearestErrorIsBounded) {
  Rng rng(7);
  for (const int bits : {4, 8}) {
    const int top = (1 << bits) - 1;
    for (int trial = 0; trial < 2000; ++trial) {
      float x[32];
      const double offset = trial % 3 == 0 ? 5.0 : 0.0;
      const double spread = std::exp2(static_cast<double>(trial % 20) - 12.0);
      for (float& v : x) v = static_cast<float>(offset + spread * (rng.Unit() - 0.5));
      CodeGroup group;
      ASSERT_TRUE(QuantizeGroup(x, bits, &group));
      float y[32];
      const CodeFormat format{.bits = bits, .has_minimum = true};
      DequantizeGroup(format, group, y);
      const double scale = HalfToFloat(group.scale);
      const double minimum = HalfToFloat(group.minimum);
      // Half a step, and at the ends what fp16 took from the minimum and from `top` steps.
      const double ends = (std::fabs(minimum) + top * scale) * 0x1.0p-11 + top * 0x1.0p-25;
      for (int i = 0; i < 32; ++i) {
        EXPECT_LE(group.codes[i], top);
        EXPECT_LE(std::fabs(static_cast<double>(x[i] - y[i])), 0.5 * scale + ends + 1e-7);
      }
    }
  }
}

TEST(WeightFormatTest, RoundToNearestKeepsConstantsAndRefusesWhatDoesNotFit) {
  float x[32];
  for (float& v : x) v = 0.75f;
  CodeGroup group;
  ASSERT_TRUE(QuantizeGroup(x, 4, &group));
  float y[32];
  DequantizeGroup({.bits = 4, .has_minimum = true}, group, y);
  EXPECT_EQ(y[0], 0.75f);
  EXPECT_EQ(y[31], 0.75f);
  x[5] = -65504.0f;
  EXPECT_TRUE(QuantizeGroup(x, 4, &group));
  x[5] = -65520.0f;
  EXPECT_FALSE(QuantizeGroup(x, 4, &group));
  x[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(QuantizeGroup(x, 8, &group));
  x[5] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(QuantizeGroup(x, 8, &group));
}

TEST(WeightFormatTest, TilesArePermutations) {
  for (const CodeFormat format :
       {CodeFormat{4, false}, CodeFormat{4, true}, CodeFormat{8, false}, CodeFormat{8, true}}) {
    const TileLayout layout{.format = format, .rows = 19, .cols = 96};
    EXPECT_EQ(layout.code_bytes(), 2u * 3u * 16u * 4u * static_cast<size_t>(format.bits));
    std::vector<uint8_t> codes(layout.code_bytes());
    std::vector<uint16_t> scales(layout.param_count());
    std::vector<uint16_t> minima(layout.param_count());
    const TileWeights tiles{layout, codes.data(), scales.data(),
                            format.has_minimum ? minima.data() : nullptr};
    Rng rng(3);
    std::vector<CodeGroup> groups(19 * 3);
    for (size_t i = 0; i < groups.size(); ++i) {
      groups[i].scale = static_cast<uint16_t>(rng());
      if (format.has_minimum) groups[i].minimum = static_cast<uint16_t>(rng());
      for (uint8_t& c : groups[i].codes) {
        c = static_cast<uint8_t>(rng.Below(uint64_t{1} << format.bits));
      }
      StoreGroup(tiles, static_cast<int64_t>(i / 3), static_cast<int64_t>(i % 3), groups[i]);
    }
    for (size_t i = 0; i < groups.size(); ++i) {
      const CodeGroup got =
          LoadGroup(tiles, static_cast<int64_t>(i / 3), static_cast<int64_t>(i % 3));
      EXPECT_EQ(std::memcmp(&got, &groups[i], sizeof(got)), 0) << i;
    }
    // The place that the header names: row 17, column 32 + 13.
    const CodeGroup& group = groups[17 * 3 + 1];
    const uint8_t* at = codes.data() + (3 + 1) * layout.group_bytes();
    if (format.bits == 4) {
      EXPECT_EQ(at[64 + 4 + 1] >> 4, group.codes[13]);
    } else {
      EXPECT_EQ(at[3 * 64 + 4 + 1], group.codes[13]);
    }
  }
}

}  // namespace
}  // namespace intactkv
