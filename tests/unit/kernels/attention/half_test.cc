#include "kernels/quant/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace intactkv {
namespace {

TEST(HalfTest, EveryFiniteHalfSurvivesTheRoundTripInEveryMode) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7c00u) == 0x7c00u) continue;
    for (const auto mode : {HalfRounding::kNearest, HalfRounding::kDown, HalfRounding::kUp}) {
      ASSERT_EQ(FloatToHalf(HalfToFloat(half), mode), half) << bits;
    }
  }
}

TEST(HalfTest, RoundsBetweenNeighboursAsTheModeSays) {
  for (uint32_t bits = 0; bits < 0x7bffu; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = 0.5f * (HalfToFloat(low) + HalfToFloat(high));  // exact
    const float above = std::nextafter(middle, 1e9f);
    const float below = std::nextafter(middle, 0.0f);
    ASSERT_EQ(FloatToHalf(middle, HalfRounding::kNearest), bits % 2 == 0 ? low : high) << bits;
    ASSERT_EQ(FloatToHalf(above, HalfRounding::kNearest), high) << bits;
    ASSERT_EQ(FloatToHalf(below, HalfRounding::kNearest), low) << bits;
    ASSERT_EQ(FloatToHalf(middle, HalfRounding::kDown), low) << bits;
    ASSERT_EQ(FloatToHalf(middle, HalfRounding::kUp), high) << bits;
    ASSERT_EQ(FloatToHalf(-middle, HalfRounding::kDown), high | 0x8000u) << bits;
    ASSERT_EQ(FloatToHalf(-middle, HalfRounding::kUp), low | 0x8000u) << bits;
  }
}

TEST(HalfTest, EveryBfloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto narrow = static_cast<uint16_t>(bits);
    const uint16_t back = FloatToBfloat16(Bfloat16ToFloat(narrow));
    const bool is_nan = (bits & 0x7fffu) > 0x7f80u;
    ASSERT_EQ(back, is_nan ? narrow | 0x40u : narrow) << bits;
  }
}

TEST(HalfTest, Bfloat16RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7f7fu; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = std::bit_cast<float>(bits << 16 | 0x8000u);
    ASSERT_EQ(FloatToBfloat16(middle), bits % 2 == 0 ? low : high) << bits;
    ASSERT_EQ(FloatToBfloat16(std::nextafter(middle, INFINITY)), high) << bits;
    ASSERT_EQ(FloatToBfloat16(std::nextafter(middle, 0.0f)), low) << bits;
    ASSERT_EQ(FloatToBfloat16(-middle), (bits % 2 == 0 ? low : high) | 0x8000u) << bits;
  }
  EXPECT_EQ(Bfloat16ToFloat(0x7f7f), kMaxBfloat16);
  EXPECT_EQ(FloatToBfloat16(kMaxBfloat16), 0x7f7f);
  EXPECT_EQ(FloatToBfloat16(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(HalfTest, SmallestFloatsRoundOutward) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(FloatToHalf(tiny, HalfRounding::kUp), 1);
  EXPECT_EQ(FloatToHalf(tiny, HalfRounding::kDown), 0);
  EXPECT_EQ(FloatToHalf(tiny, HalfRounding::kNearest), 0);
  EXPECT_EQ(FloatToHalf(-tiny, HalfRounding::kDown), 0x8001u);
  EXPECT_EQ(FloatToHalf(0x1p-25f, HalfRounding::kNearest), 0);
  EXPECT_EQ(FloatToHalf(0x1.000002p-25f, HalfRounding::kNearest), 1);
}

TEST(HalfTest, OverflowAndSpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FloatToHalf(65504.0f, HalfRounding::kUp), 0x7bffu);
  EXPECT_EQ(FloatToHalf(65519.0f, HalfRounding::kNearest), 0x7bffu);
  EXPECT_EQ(FloatToHalf(65520.0f, HalfRounding::kNearest), 0x7c00u);
  EXPECT_EQ(FloatToHalf(1e9f, HalfRounding::kDown), 0x7bffu);
  EXPECT_EQ(FloatToHalf(-1e9f, HalfRounding::kDown), 0xfc00u);
  EXPECT_EQ(FloatToHalf(infinity, HalfRounding::kDown), 0x7c00u);
  EXPECT_EQ(HalfToFloat(0x7c00u), infinity);
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(std::nanf(""), HalfRounding::kNearest))));
}

}  // namespace
}  // namespace intactkv
