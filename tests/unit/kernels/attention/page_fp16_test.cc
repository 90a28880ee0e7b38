#include "kernels/quant/page_fp16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace intactkv {
namespace {

TEST(PageFp16Test, EveryFiniteHalfSurvivesTheRoundTripInEveryMode) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7c00u) == 0x7c00u) continue;
    for (const auto mode : {Fp16Rounding::kNearest, Fp16Rounding::kDown, Fp16Rounding::kUp}) {
      ASSERT_EQ(FloatToFp16(Fp16ToFloat(half), mode), half) << bits;
    }
  }
}

TEST(PageFp16Test, RoundsBetweenNeighboursAsTheModeSays) {
  for (uint32_t bits = 0; bits < 0x7bffu; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = 0.5f * (Fp16ToFloat(low) + Fp16ToFloat(high));  // exact
    const float above = std::nextafter(middle, 1e9f);
    const float below = std::nextafter(middle, 0.0f);
    ASSERT_EQ(FloatToFp16(middle, Fp16Rounding::kNearest), bits % 2 == 0 ? low : high) << bits;
    ASSERT_EQ(FloatToFp16(above, Fp16Rounding::kNearest), high) << bits;
    ASSERT_EQ(FloatToFp16(below, Fp16Rounding::kNearest), low) << bits;
    ASSERT_EQ(FloatToFp16(middle, Fp16Rounding::kDown), low) << bits;
    ASSERT_EQ(FloatToFp16(middle, Fp16Rounding::kUp), high) << bits;
    ASSERT_EQ(FloatToFp16(-middle, Fp16Rounding::kDown), high | 0x8000u) << bits;
    ASSERT_EQ(FloatToFp16(-middle, Fp16Rounding::kUp), low | 0x8000u) << bits;
  }
}

TEST(PageFp16Test, SmallestFloatsRoundOutward) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(FloatToFp16(tiny, Fp16Rounding::kUp), 1);
  EXPECT_EQ(FloatToFp16(tiny, Fp16Rounding::kDown), 0);
  EXPECT_EQ(FloatToFp16(tiny, Fp16Rounding::kNearest), 0);
  EXPECT_EQ(FloatToFp16(-tiny, Fp16Rounding::kDown), 0x8001u);
  EXPECT_EQ(FloatToFp16(0x1p-25f, Fp16Rounding::kNearest), 0);
  EXPECT_EQ(FloatToFp16(0x1.000002p-25f, Fp16Rounding::kNearest), 1);
}

TEST(PageFp16Test, OverflowAndSpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FloatToFp16(65504.0f, Fp16Rounding::kUp), 0x7bffu);
  EXPECT_EQ(FloatToFp16(65519.0f, Fp16Rounding::kNearest), 0x7bffu);
  EXPECT_EQ(FloatToFp16(65520.0f, Fp16Rounding::kNearest), 0x7c00u);
  EXPECT_EQ(FloatToFp16(1e9f, Fp16Rounding::kDown), 0x7bffu);
  EXPECT_EQ(FloatToFp16(-1e9f, Fp16Rounding::kDown), 0xfc00u);
  EXPECT_EQ(FloatToFp16(infinity, Fp16Rounding::kDown), 0x7c00u);
  EXPECT_EQ(Fp16ToFloat(0x7c00u), infinity);
  EXPECT_TRUE(std::isnan(Fp16ToFloat(FloatToFp16(std::nanf(""), Fp16Rounding::kNearest))));
}

}  // namespace
}  // namespace intactkv
