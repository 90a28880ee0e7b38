#include "kernels/quant/page_quantizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
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

// One side of a promoted slice, in canonical form.
struct Side {
  SideFormat format;
  KvSide side;
  size_t dims;
  std::span<const std::byte> canonical;
};

// The largest error that the format allows for element i: half a step, of the codes or of the
// floats, and what rounding in fp32 adds.
double BoundOf(const Side& side, size_t i, double value) {
  if (side.format == SideFormat::kF32) return 0;
  if (side.format == SideFormat::kF16) return std::max(std::abs(value) * 0x1p-11, 0x1p-25);
  if (side.format == SideFormat::kBF16) return std::max(std::abs(value) * 0x1p-8, 0x1p-134);
  const size_t group = side.side == KvSide::kK ? i % side.dims : i / side.dims;
  uint16_t scale;
  std::memcpy(&scale, side.canonical.data() + kPageTokens * side.dims + 2 * group, sizeof(scale));
  const double s = static_cast<double>(HalfToFloat(scale));
  return s / 2 + std::abs(value) * 0x1p-22 + s * 255 * 0x1p-22;
}

enum class Input { kMixed, kZeros, kLargest, kSubnormal, kOneOutlier };

// The largest finite value that `format` takes without clamping.
float LargestOf(KvFormat format) {
  if (format == kKvF32) return std::numeric_limits<float>::max();
  return format == kKvBF16 ? kMaxBfloat16 : kMaxHalf;
}

// Outliers, a channel of zeros and a constant token among random values.
float MixedValue(Rng& rng, size_t i, size_t dims) {
  if (i / dims % kPageTokens == 9) return 7.0f;
  if (i % dims == 5) return 0.0f;
  const float x = static_cast<float>(rng.Unit() * 4 - 2);
  return i % 97 == 0 ? 300.0f * x : x;
}

// K, then V, of [32][head_dim].
std::vector<float> MakeValues(Input input, KvFormat to, int head_dim) {
  Rng rng(static_cast<uint64_t>(head_dim));
  const size_t dims = static_cast<size_t>(head_dim);
  const size_t side = kPageTokens * dims;
  std::vector<float> out(2 * side);
  for (size_t i = 0; i < out.size(); ++i) {
    // Both signs in each channel and in each token.
    const float sign = (i / dims + i) % 2 == 0 ? 1.0f : -1.0f;
    if (input == Input::kMixed) out[i] = MixedValue(rng, i, dims);
    if (input == Input::kZeros) out[i] = 0.0f * sign;
    if (input == Input::kLargest) out[i] = sign * LargestOf(to);
    if (input == Input::kSubnormal) {
      // Down to the least of fp32, up to the largest below fp16's least normal one.
      const int exponent = static_cast<int>(rng.Below(135)) - 149;
      out[i] = sign * std::ldexp(1.0f + static_cast<float>(rng.Unit()) / 2, exponent);
    }
    if (input == Input::kOneOutlier) out[i] = static_cast<float>(rng.Unit() * 2 - 1);
  }
  if (input == Input::kOneOutlier) out[side / 2 + 7] = -60000.0f;
  if (input == Input::kOneOutlier) out[side + side / 2 + 7] = 60000.0f;
  return out;
}

class EveryPage : public testing::TestWithParam<std::tuple<KvFormat, int>> {
 protected:
  EveryPage()
      : to_(std::get<0>(GetParam())),
        head_dim_(std::get<1>(GetParam())),
        slice_(MakeSliceLayout(to_, head_dim_).bytes),
        canonical_(CanonicalSliceBytes(to_, head_dim_)) {}
  QuantizeHealth Promote(const std::vector<float>& values) {
    std::vector<std::byte> f32(MakeSliceLayout(kKvF32, head_dim_).bytes);
    PackSlice(kKvF32, head_dim_, std::as_bytes(std::span(values)), f32.data());
    const QuantizeHealth health = PromoteSlice({f32.data(), head_dim_, to_}, slice_.data());
    UnpackSlice(to_, head_dim_, slice_.data(), canonical_);
    return health;
  }
  RefKv Decoded() const {
    RefKv kv;
    RefAppendSlice(to_, head_dim_, canonical_, kPageTokens, kv);
    return kv;
  }
  void ExpectWithinBound(const std::vector<float>& values) const {
    const RefKv kv = Decoded();
    const size_t dims = static_cast<size_t>(head_dim_);
    const std::span<const std::byte> all(canonical_);
    const Side k_side = {to_.k, KvSide::kK, dims, all};
    const Side v_side = {to_.v, KvSide::kV, dims,
                         all.subspan(CanonicalSideBytes(to_.k, KvSide::kK, head_dim_))};
    for (size_t i = 0; i < kv.k.size(); ++i) {
      const double k = static_cast<double>(values[i]);
      const double v = static_cast<double>(values[kv.k.size() + i]);
      ASSERT_LE(std::abs(kv.k[i] - k), BoundOf(k_side, i, k)) << i;
      ASSERT_LE(std::abs(kv.v[i] - v), BoundOf(v_side, i, v)) << i;
    }
  }

  const KvFormat to_;
  const int head_dim_;
  std::vector<std::byte> slice_, canonical_;
};

// P34: whatever the head size, the format and the values.
TEST_P(EveryPage, KeepsItsBoundAndItsBits) {
  for (const Input input :
       {Input::kMixed, Input::kZeros, Input::kLargest, Input::kSubnormal, Input::kOneOutlier}) {
    SCOPED_TRACE(static_cast<int>(input));
    const std::vector<float> values = MakeValues(input, to_, head_dim_);
    const QuantizeHealth health = Promote(values);
    EXPECT_FALSE(health.non_finite);
    EXPECT_EQ(health.num_clamped, 0);
    ExpectWithinBound(values);
    if (input == Input::kZeros) {
      EXPECT_EQ(Decoded().k, std::vector<double>(values.size() / 2));
      EXPECT_EQ(Decoded().v, std::vector<double>(values.size() / 2));
    }
    std::vector<std::byte> again(slice_.size());
    PackSlice(to_, head_dim_, canonical_, again.data());
    EXPECT_EQ(again, slice_);
  }
}

// Wherever the one bad value lies.
TEST_P(EveryPage, FlagsWhatIsNotFinite) {
  const std::vector<float> good = MakeValues(Input::kMixed, to_, head_dim_);
  const size_t side = good.size() / 2;
  for (const size_t at : {size_t{0}, side / 2 + 3, side - 1, side, side + 35, 2 * side - 1}) {
    for (const float bad : {std::nanf(""), -std::nanf(""), kInfinity, -kInfinity}) {
      std::vector<float> values = good;
      values[at] = bad;
      EXPECT_TRUE(Promote(values).non_finite) << at << " " << bad;
    }
  }
}

// Head sizes between the multiples of 32 (80 and 112) have no layout: KvAttention refuses them.
INSTANTIATE_TEST_SUITE_P(PageQuantizerTest, EveryPage,
                         testing::Combine(testing::Values(kKvF32, kKvF16, kKvBF16, kKvI8C, kKvK8V4,
                                                          kKvI4C),
                                          testing::Values(32, 64, 96, 128, 160, 192, 224, 256)),
                         [](const auto& info) {
                           return std::string(KvFormatName(std::get<0>(info.param))) + "_d" +
                                  std::to_string(std::get<1>(info.param));
                         });

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
