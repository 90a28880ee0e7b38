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

TEST(WeightFormatTest, FiveBitBlocksTakeTheirFifthBitFromTheWord) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto q50 = RandomBlocks(BlockType::kQ5_0, 32, seed);
    const auto q51 = RandomBlocks(BlockType::kQ5_1, 32, seed);
    CodeGroup symmetric;
    CodeGroup minimum;
    ReadBlock(BlockType::kQ5_0, q50.data(), &symmetric);
    ReadBlock(BlockType::kQ5_1, q51.data(), &minimum);
    EXPECT_EQ(minimum.minimum, U16(q51.data() + 2));
    for (size_t i = 0; i < 32; ++i) {
      const auto bit = [i](const std::byte* high) {
        return std::to_integer<int>(high[i / 8]) >> i % 8 & 1;
      };
      const auto nibble = [i](const std::byte* q) {
        return std::to_integer<int>(q[i % 16]) >> (i < 16 ? 0 : 4) & 15;
      };
      EXPECT_EQ(symmetric.codes[i], nibble(&q50[6]) + 16 * bit(&q50[2]));
      EXPECT_EQ(minimum.codes[i], nibble(&q51[8]) + 16 * bit(&q51[4]));
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

std::vector<std::byte> TileMemory(const TileLayout& layout) {
  return std::vector<std::byte>(layout.bytes() + 64);
}

std::byte* Aligned(std::vector<std::byte>& memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return memory.data() + (64 - address % 64) % 64;
}

CodeGroup RandomGroup(CodeFormat format, Rng* rng) {
  CodeGroup out;
  out.scale = static_cast<uint16_t>((*rng)());
  if (format.has_minimum) out.minimum = static_cast<uint16_t>((*rng)());
  if (format.two_level) out.scale_factor = static_cast<int8_t>((*rng)());
  if (format.two_level && format.has_minimum) out.minimum_factor = static_cast<int8_t>((*rng)());
  for (int i = 0; i < format.group; ++i) {
    out.codes[i] = static_cast<uint8_t>(rng->Below(uint64_t{1} << format.bits));
  }
  return out;
}

// Every group in its place, whatever is written after it. Groups that share fp16 parameters are
// given the same.
TEST(WeightFormatTest, TilesArePermutations) {
  for (const CodeFormat format : kCodeFormats) {
    const int64_t rows = 19;
    const TileLayout layout{.format = format, .rows = rows, .cols = 512};
    EXPECT_EQ(layout.code_bytes(), 2u * 16u * 512u * static_cast<size_t>(format.bits) / 8u);
    std::vector<std::byte> memory = TileMemory(layout);
    const TileWeights tiles = PlaceTiles(layout, Aligned(memory));
    EXPECT_EQ(tiles.minima != nullptr, format.has_minimum);
    EXPECT_EQ(tiles.scale_factors != nullptr, format.two_level);
    EXPECT_EQ(tiles.minimum_factors != nullptr, format.two_level && format.has_minimum);
    Rng rng(3);
    std::vector<CodeGroup> groups;
    const int64_t per_row = layout.num_groups();
    const int64_t per_span = format.span() / format.group;
    for (int pass = 0; pass < 2; ++pass) {  // the second over the bits of the first
      groups.clear();
      for (int64_t i = 0; i < rows * per_row; ++i) {
        CodeGroup group = RandomGroup(format, &rng);
        if (i % per_span != 0) {
          group.scale = groups.back().scale;
          group.minimum = groups.back().minimum;
        }
        groups.push_back(group);
        StoreGroup(tiles, i / per_row, i % per_row, group);
      }
    }
    for (int64_t i = 0; i < rows * per_row; ++i) {
      const CodeGroup got = LoadGroup(tiles, i / per_row, i % per_row);
      EXPECT_EQ(std::memcmp(&got, &groups[static_cast<size_t>(i)], sizeof(got)), 0) << i;
    }
    // The place that the header names: row 17, column 32 + 13.
    const size_t column = 32 + 13;
    const auto per_group = static_cast<size_t>(format.group);
    const uint8_t code =
        groups[static_cast<size_t>(17 * per_row) + column / per_group].codes[column % per_group];
    const uint8_t* at = tiles.codes + (16 + 1) * layout.strip_bytes();
    if (format.bits == 8) {
      EXPECT_EQ(at[3 * 64 + 4 + 1], code);
      continue;
    }
    EXPECT_EQ(at[64 + 4 + 1] >> 4, code & 15);
    if (format.bits == 5) {
      EXPECT_EQ(at[4 * 64 + 4 + 1] >> 3 & 1, code >> 4);
    } else if (format.bits == 6) {
      EXPECT_EQ(at[4 * 64 + 4 + 1] >> 6, code >> 4);
    }
  }
}

// The arrays of a tiled matrix follow each other without overlap, and a view starts at its tile.
TEST(WeightFormatTest, ViewsStartAtTheirTile) {
  for (const CodeFormat format : kCodeFormats) {
    const TileLayout layout{.format = format, .rows = 40, .cols = 512};
    std::vector<std::byte> memory = TileMemory(layout);
    std::byte* const begin = Aligned(memory);
    const TileWeights tiles = PlaceTiles(layout, begin);
    const auto* end = begin + layout.bytes();
    const TileView view = ViewTiles(tiles, 2);
    EXPECT_EQ(view.codes - tiles.codes, 2 * 16 * 512 * format.bits / 8);
    EXPECT_EQ(view.scales - tiles.scales, 2 * 16 * 512 / format.span());
    const std::byte* last = reinterpret_cast<const std::byte*>(tiles.scales + layout.param_count());
    if (format.has_minimum) {
      EXPECT_GE(reinterpret_cast<const std::byte*>(tiles.minima), last);
      EXPECT_EQ(view.minima - tiles.minima, view.scales - tiles.scales);
      last = reinterpret_cast<const std::byte*>(tiles.minima + layout.param_count());
    }
    if (format.two_level) {
      EXPECT_GE(reinterpret_cast<const std::byte*>(tiles.scale_factors), last);
      EXPECT_EQ(view.scale_factors - tiles.scale_factors, 2 * 16 * 512 / format.group);
      last = reinterpret_cast<const std::byte*>(tiles.scale_factors + layout.factor_count());
    }
    if (format.two_level && format.has_minimum) {
      EXPECT_GE(reinterpret_cast<const std::byte*>(tiles.minimum_factors), last);
      last = reinterpret_cast<const std::byte*>(tiles.minimum_factors + layout.factor_count());
    }
    EXPECT_LE(last, end);
    EXPECT_GE(last + 64, end);
    EXPECT_TRUE(format.has_minimum || view.minima == nullptr);
    EXPECT_TRUE(format.two_level || view.scale_factors == nullptr);
  }
}

}  // namespace
}  // namespace intactkv
