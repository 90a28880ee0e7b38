#include "kernels/quant/page_quantizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/quant/half.h"
#include "kernels/quant/page_pack.h"
#include "kernels/ref/attention.h"

namespace intactkv {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(PageQuantizerTest, NoValueIsClippedAndTheErrorIsHalfAStep) {
  Rng rng(11);
  for (int round = 0; round < 20000; ++round) {
    const int max_code = round % 2 == 0 ? 255 : 15;
    const float spread = std::exp2(static_cast<float>(rng.Unit() * 36 - 20));
    const float offset = std::exp2(static_cast<float>(rng.Unit() * 36 - 20)) *
                         static_cast<float>(static_cast<int>(rng.Below(3)) - 1);
    float x[32];
    for (float& value : x) {
      value = offset + spread * static_cast<float>(rng.Unit() - 0.5);
      value = std::min(std::max(value, -kMaxHalf), kMaxHalf);
    }
    uint8_t codes[32];
    const GroupParams params = QuantizeGroup(x, 32, 1, max_code, codes);
    const double s = static_cast<double>(HalfToFloat(params.scale));
    const double z = static_cast<double>(HalfToFloat(params.minimum));
    ASSERT_GE(s, 0x1p-14);
    for (int i = 0; i < 32; ++i) {
      const double value = static_cast<double>(x[i]);
      // fp32 slack: x - z and the quotient are rounded.
      const double slack = std::abs(value) * 0x1p-22 + s * 255 * 0x1p-22;
      ASSERT_LE(z, value);
      ASSERT_LE(value, z + s * max_code + slack);
      ASSERT_LE(codes[i], max_code);
      ASSERT_LE(std::abs(s * codes[i] + z - value), s / 2 + slack) << round;
    }
  }
}

// The largest error that `format` allows for element i of one side, canonical.
double BoundOf(SideFormat format, KvSide side, int head_dim, std::span<const std::byte> canonical,
               size_t i, double value) {
  const double slack = std::abs(value) * 0x1p-22;
  if (format == SideFormat::kF32) return 0;
  if (format == SideFormat::kF16) return std::max(std::abs(value) * 0x1p-11, 0x1p-25);
  if (format == SideFormat::kBF16) return std::abs(value) * 0x1p-8;
  const size_t dims = static_cast<size_t>(head_dim);
  const size_t group = side == KvSide::kK ? i % dims : i / dims;
  uint16_t scale;
  std::memcpy(&scale, canonical.data() + kPageTokens * dims + 2 * group, sizeof(scale));
  const double s = static_cast<double>(HalfToFloat(scale));
  return s / 2 + slack + s * 255 * 0x1p-22;
}

// P34: whatever the head size and the values.
TEST(PageQuantizerTest, EveryFormatKeepsItsBoundInEveryHeadSize) {
  for (const KvFormat to : {kKvF32, kKvF16, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
    for (int head_dim = 32; head_dim <= 256; head_dim += 32) {
      Rng rng(static_cast<uint64_t>(head_dim));
      const size_t elements = static_cast<size_t>(kPageTokens * head_dim);
      std::vector<float> values(2 * elements);
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(rng.Unit() * 4 - 2);
        if (i % 97 == 0) values[i] *= 300.0f;                              // outliers
        if (i % static_cast<size_t>(head_dim) == 5) values[i] = 0.0f;      // a channel of zeros
        if (i / static_cast<size_t>(head_dim) % 32 == 9) values[i] = 7.f;  // a constant token
      }
      values[1] = kMaxHalf;
      values[2] = -kMaxHalf;
      values[elements + 3] = 0x1p-24f;
      std::vector<std::byte> f32(MakeSliceLayout(kKvF32, head_dim).bytes);
      PackSlice(kKvF32, head_dim, std::as_bytes(std::span(values)), f32.data());
      std::vector<std::byte> slice(MakeSliceLayout(to, head_dim).bytes);
      const QuantizeHealth health = PromoteSlice({f32.data(), head_dim, to}, slice.data());
      EXPECT_TRUE(!health.non_finite && health.num_clamped == 0);
      std::vector<std::byte> canonical(CanonicalSliceBytes(to, head_dim));
      UnpackSlice(to, head_dim, slice.data(), canonical);
      RefKv kv;
      RefAppendSlice(to, head_dim, canonical, kPageTokens, kv);
      const std::span<const std::byte> k_side(canonical);
      const std::span<const std::byte> v_side =
          k_side.subspan(CanonicalSideBytes(to.k, KvSide::kK, head_dim));
      for (size_t i = 0; i < elements; ++i) {
        const double k = static_cast<double>(values[i]);
        const double v = static_cast<double>(values[elements + i]);
        ASSERT_LE(std::abs(kv.k[i] - k), BoundOf(to.k, KvSide::kK, head_dim, k_side, i, k))
            << KvFormatName(to) << " d" << head_dim << " K " << i;
        ASSERT_LE(std::abs(kv.v[i] - v), BoundOf(to.v, KvSide::kV, head_dim, v_side, i, v))
            << KvFormatName(to) << " d" << head_dim << " V " << i;
      }
    }
  }
}

TEST(PageQuantizerTest, ScaleIsTheSmallestThatReachesTheMaximum) {
  const float x[4] = {-1.0f, 0.0f, 0.5f, 2.0f};
  uint8_t codes[4];
  const GroupParams params = QuantizeGroup(x, 4, 1, 15, codes);
  EXPECT_EQ(params.minimum, FloatToHalf(-1.0f, HalfRounding::kNearest));
  EXPECT_EQ(params.scale, FloatToHalf(0.2f, HalfRounding::kUp));
  EXPECT_EQ(codes[0], 0);
  EXPECT_EQ(codes[1], 5);
  EXPECT_EQ(codes[2], 7);  // 7.4998 with the rounded-up scale
  EXPECT_EQ(codes[3], 15);
}

TEST(PageQuantizerTest, HalvesRoundToEven) {
  // Scale exactly 1, minimum 0.
  const float x[6] = {0.0f, 15.0f, 0.5f, 1.5f, 2.5f, 3.5f};
  uint8_t codes[6];
  QuantizeGroup(x, 6, 1, 15, codes);
  EXPECT_EQ(codes[2], 0);
  EXPECT_EQ(codes[3], 2);
  EXPECT_EQ(codes[4], 2);
  EXPECT_EQ(codes[5], 4);
}

TEST(PageQuantizerTest, ConstantGroupsKeepTheLeastScale) {
  const float x[3] = {3.0f, 3.0f, 3.0f};
  uint8_t codes[3] = {9, 9, 9};
  const GroupParams params = QuantizeGroup(x, 3, 1, 255, codes);
  EXPECT_EQ(HalfToFloat(params.scale), 0x1p-14f);
  EXPECT_EQ(HalfToFloat(params.minimum), 3.0f);
  EXPECT_EQ(codes[1], 0);
}

class PromoteTest : public testing::Test {
 protected:
  static constexpr int kDim = 64;
  PromoteTest() : values_(2 * kPageTokens * kDim), slice_(MakeSliceLayout(kKvF32, kDim).bytes) {
    Rng rng(3);
    for (float& x : values_) x = static_cast<float>(rng.Unit() * 4 - 2);
  }
  float& K(int token, int dim) { return values_[static_cast<size_t>(token * kDim + dim)]; }
  float& V(int token, int dim) { return K(token + kPageTokens, dim); }
  // Promotes and returns the canonical form.
  std::vector<std::byte> Promote(KvFormat to, int num_valid = kPageTokens) {
    PackSlice(kKvF32, kDim, std::as_bytes(std::span(values_)), slice_.data());
    std::vector<std::byte> target(MakeSliceLayout(to, kDim).bytes);
    health_ = PromoteSlice({slice_.data(), kDim, to, num_valid}, target.data());
    std::vector<std::byte> canonical(CanonicalSliceBytes(to, kDim));
    UnpackSlice(to, kDim, target.data(), canonical);
    return canonical;
  }
  static uint16_t Half(const std::vector<std::byte>& from, size_t byte) {
    uint16_t out;
    std::memcpy(&out, from.data() + byte, sizeof(out));
    return out;
  }

  std::vector<float> values_;
  std::vector<std::byte> slice_;
  QuantizeHealth health_;
};

TEST_F(PromoteTest, KeysGoPerChannelAndValuesPerToken) {
  const std::vector<std::byte> out = Promote(kKvI8C);
  constexpr size_t kCodes = kPageTokens * kDim;
  const size_t v = CanonicalSideBytes(SideFormat::kI8, KvSide::kK, kDim);
  std::vector<uint8_t> codes(kCodes);
  for (int d : {0, 17, 63}) {
    const GroupParams params = QuantizeGroup(&K(0, d), kPageTokens, kDim, 255, codes.data());
    EXPECT_EQ(Half(out, kCodes + static_cast<size_t>(d) * 2), params.scale);
    EXPECT_EQ(Half(out, kCodes + static_cast<size_t>(kDim + d) * 2), params.minimum);
    for (size_t t = 0; t < kPageTokens; ++t) {
      EXPECT_EQ(std::to_integer<int>(out[t * kDim + static_cast<size_t>(d)]), codes[t * kDim]);
    }
  }
  for (int t : {0, 9, 31}) {
    const GroupParams params = QuantizeGroup(&V(t, 0), kDim, 1, 255, codes.data());
    EXPECT_EQ(Half(out, v + kCodes + static_cast<size_t>(t) * 2), params.scale);
    EXPECT_EQ(Half(out, v + kCodes + static_cast<size_t>(kPageTokens + t) * 2), params.minimum);
    EXPECT_EQ(std::to_integer<int>(out[v + static_cast<size_t>(t) * kDim + 5]), codes[5]);
  }
  EXPECT_FALSE(health_.non_finite);
  EXPECT_EQ(health_.num_clamped, 0);
}

// Each side is what it is in the format that has it on both sides.
TEST_F(PromoteTest, KeysInEightBitsAndValuesInFour) {
  const std::vector<std::byte> out = Promote(kKvK8V4);
  const std::vector<std::byte> eight = Promote(kKvI8C);
  const std::vector<std::byte> four = Promote(kKvI4C);
  const size_t k = CanonicalSideBytes(SideFormat::kI8, KvSide::kK, kDim);
  const size_t v = CanonicalSideBytes(SideFormat::kI4, KvSide::kV, kDim);
  ASSERT_EQ(out.size(), k + v);
  EXPECT_EQ(std::memcmp(out.data(), eight.data(), k), 0);
  EXPECT_EQ(std::memcmp(out.data() + k, four.data() + four.size() - v, v), 0);
}

TEST_F(PromoteTest, Bfloat16RoundsToNearest) {
  const std::vector<std::byte> out = Promote(kKvBF16);
  for (size_t i = 0; i < values_.size(); ++i) {
    ASSERT_EQ(Half(out, 2 * i), FloatToBfloat16(values_[i])) << i;
  }
}

TEST_F(PromoteTest, FullPrecisionIsACopy) {
  const std::vector<std::byte> out = Promote(kKvF32);
  EXPECT_EQ(std::memcmp(out.data(), values_.data(), out.size()), 0);
}

TEST_F(PromoteTest, ClampsAndCountsFiniteValuesBeyondFp16) {
  K(1, 2) = 65504.0f;  // fits
  K(3, 4) = 65505.0f;
  V(5, 6) = -1e30f;
  for (const KvFormat to : {kKvF16, kKvI8C, kKvK8V4, kKvI4C}) {
    Promote(to);
    EXPECT_EQ(health_.num_clamped, 2) << KvFormatName(to);
    EXPECT_FALSE(health_.non_finite);
  }
  const std::vector<std::byte> half = Promote(kKvF16);
  EXPECT_EQ(Half(half, (kPageTokens * kDim + 5 * kDim + 6) * 2), 0xfbffu);
  for (const KvFormat to : {kKvF32, kKvBF16}) {
    Promote(to);
    EXPECT_EQ(health_.num_clamped, 0) << KvFormatName(to);
  }
}

TEST_F(PromoteTest, Bfloat16ClampsWhatWouldRoundToInfinity) {
  K(1, 2) = kMaxBfloat16;  // fits
  K(3, 4) = std::nextafter(kMaxBfloat16, kInfinity);
  V(5, 6) = std::numeric_limits<float>::lowest();
  const std::vector<std::byte> out = Promote(kKvBF16);
  EXPECT_EQ(health_.num_clamped, 2);
  EXPECT_FALSE(health_.non_finite);
  EXPECT_EQ(Half(out, (1 * kDim + 2) * 2), 0x7f7fu);
  EXPECT_EQ(Half(out, (3 * kDim + 4) * 2), 0x7f7fu);
  EXPECT_EQ(Half(out, (kPageTokens * kDim + 5 * kDim + 6) * 2), 0xff7fu);
}

TEST_F(PromoteTest, FlagsNonFiniteValues) {
  for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
    V(31, 63) = bad;
    for (const KvFormat to : {kKvF32, kKvF16, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
      Promote(to);
      EXPECT_TRUE(health_.non_finite) << KvFormatName(to);
      EXPECT_EQ(health_.num_clamped, 0);
    }
  }
}

TEST_F(PromoteTest, AnUnfinishedPageGetsAZeroTailAndItsGarbageIsNotRead) {
  for (int d = 0; d < kDim; ++d) K(13, d) = V(13, d) = K(31, d) = V(31, d) = std::nanf("");
  for (const KvFormat to : {kKvF32, kKvF16, kKvBF16}) {
    const std::vector<std::byte> out = Promote(to, 13);
    EXPECT_FALSE(health_.non_finite);
    const size_t element = to == kKvF32 ? 4 : 2;
    for (const size_t side : {size_t{0}, out.size() / 2}) {
      EXPECT_NE(out[side + (13 * kDim - 1) * element + element - 1], std::byte{0});
      for (size_t i = 13 * kDim * element; i < out.size() / 2; ++i) {
        ASSERT_EQ(out[side + i], std::byte{0});
      }
    }
  }
}

}  // namespace
}  // namespace intactkv
