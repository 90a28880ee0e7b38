#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/cpu/ops_kernels.h"
#include "kernels/quant/weight_format.h"
#include "kernels/ref/linear.h"
#include "kernels/ref/row_ops.h"

namespace intactkv {
namespace {

class OpsTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (GetParam() > HostIsa()) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam());
  }
  const OpsKernels& ops() const { return GetOpsKernels(GetParam()); }
};

std::vector<float> RandomFloats(size_t n, uint64_t seed, double scale = 1.0) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& v : out) v = static_cast<float>((rng.Unit() * 2.0 - 1.0) * scale);
  return out;
}

TEST_P(OpsTest, RmsNormMatchesDoubleAndScalar) {
  for (const size_t cols : {size_t{32}, size_t{576}, size_t{4096}}) {
    const std::vector<float> x = RandomFloats(cols, cols, 3.0);
    const std::vector<float> weight = RandomFloats(cols, cols + 1);
    std::vector<float> got(cols);
    const NormArgs args{x.data(), weight.data(), static_cast<int64_t>(cols), 1e-5f, got.data()};
    ops().rms_norm(args);
    const std::vector<double> want = ref::RmsNorm(x, weight, static_cast<double>(1e-5f));
    for (size_t i = 0; i < cols; ++i) EXPECT_NEAR(got[i], want[i], 3e-7 * std::fabs(want[i]));
    std::vector<float> scalar(cols);
    NormArgs same = args;
    same.out = scalar.data();
    GetOpsKernels(Isa::kScalar).rms_norm(same);
    EXPECT_EQ(std::memcmp(got.data(), scalar.data(), cols * sizeof(float)), 0);
  }
}

TEST_P(OpsTest, QuantizesActivationsAsTheReference) {
  std::vector<float> x = RandomFloats(32 * 500, 9, 4.0);
  for (size_t g = 0; g < 500; ++g) {  // from subnormal to huge
    const auto scale = static_cast<float>(std::exp2(static_cast<double>(g) / 2.0 - 126.0));
    for (size_t i = 0; i < 32; ++i) x[g * 32 + i] *= scale;
  }
  for (size_t i = 0; i < 32; ++i) x[32 * 400 + i] = static_cast<float>(i) + 0.5f;  // ties
  x[32 * 400] = 127.0f;
  std::fill_n(x.begin() + 32 * 401, 32, 0.0f);
  x[32 * 402 + 3] = std::numeric_limits<float>::quiet_NaN();
  x[32 * 403 + 31] = -std::numeric_limits<float>::infinity();
  std::vector<int8_t> q(x.size());
  std::vector<float> scale(500), scaled_sum(500);
  std::vector<int32_t> sum(500), first_sum(500, -1);
  ops().quantize_int8({x.data(), static_cast<int64_t>(x.size()), q.data(), scale.data(),
                       scaled_sum.data(), sum.data(), first_sum.data()});
  for (size_t g = 0; g < 500; ++g) {
    const ref::Int8Group want = ref::QuantizeActivations({&x[g * 32], 32});
    int32_t want_sum = 0;
    for (size_t i = 0; i < 32; ++i) {
      EXPECT_EQ(q[g * 32 + i], want.q[i]) << g << " " << i;
      want_sum += want.q[i];
    }
    EXPECT_EQ(sum[g], want_sum);
    EXPECT_EQ(first_sum[g], std::accumulate(want.q, want.q + 16, 0));
    EXPECT_EQ(std::isnan(scale[g]), std::isnan(want.scale)) << g;
    EXPECT_EQ(std::isnan(scaled_sum[g]), std::isnan(want.scale)) << g;
    if (std::isnan(want.scale)) continue;
    EXPECT_EQ(scale[g], want.scale) << g;
    EXPECT_EQ(scaled_sum[g], want.scale * static_cast<float>(want_sum));
  }
  EXPECT_TRUE(std::isnan(scale[402]) && std::isnan(scale[403]));
  EXPECT_EQ(scale[401], 0.0f);
  EXPECT_EQ(scale[0], 0.0f);  // below 2^-100
}

TEST_P(OpsTest, SiluMatchesDoubleAndScalar) {
  std::vector<float> gate = RandomFloats(4096, 11, 30.0);
  const float edges[] = {0.0f,  -0.0f,  -87.0f, -88.5f, -200.0f,
                         88.0f, 200.0f, -1e30f, 1e30f,  1e-30f};
  std::copy(std::begin(edges), std::end(edges), gate.begin());
  const std::vector<float> up = RandomFloats(4096, 12);
  std::vector<float> got(4096), scalar(4096);
  ops().silu_mul(gate.data(), up.data(), 4096, got.data());
  GetOpsKernels(Isa::kScalar).silu_mul(gate.data(), up.data(), 4096, scalar.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double want = ref::SiluMul(gate[i], up[i]);
    const double tail = gate[i] < -87.0f ? std::fabs(gate[i]) * 0x1.0p-125 : 0.0;
    EXPECT_NEAR(got[i], want, 5e-7 * std::fabs(want) + tail) << gate[i];
  }
  EXPECT_EQ(std::memcmp(got.data(), scalar.data(), got.size() * sizeof(float)), 0);
  gate[0] = std::numeric_limits<float>::quiet_NaN();
  ops().silu_mul(gate.data(), up.data(), 32, got.data());
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_FALSE(std::isnan(got[1]));
}

TEST_P(OpsTest, RopeMatchesDouble) {
  for (const int dim : {32, 64, 128}) {
    const size_t half = static_cast<size_t>(dim) / 2;
    std::vector<float> inv_freq(half);
    for (size_t i = 0; i < half; ++i) {
      inv_freq[i] = static_cast<float>(std::pow(10000.0, -2.0 * static_cast<double>(i) / dim));
    }
    for (const int64_t position : {int64_t{0}, int64_t{1}, int64_t{8191}}) {
      std::vector<float> cos(half), sin(half);
      for (size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position) * static_cast<double>(inv_freq[i]);
        cos[i] = static_cast<float>(std::cos(angle));
        sin[i] = static_cast<float>(std::sin(angle));
      }
      for (const bool interleaved : {false, true}) {
        const std::vector<float> x = RandomFloats(static_cast<size_t>(dim) * 3, 13);
        std::vector<float> got = x;
        ops().rope({got.data(), 3, dim, cos.data(), sin.data(), interleaved});
        for (size_t h = 0; h < 3; ++h) {
          const size_t at = h * static_cast<size_t>(dim);
          const auto want =
              ref::Rope({&x[at], static_cast<size_t>(dim)}, position, inv_freq, interleaved);
          for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[at + i], want[i], 3e-7);
        }
      }
    }
  }
}

TEST_P(OpsTest, AddAndAllFinite) {
  std::vector<float> x = RandomFloats(77, 14);
  std::vector<float> sum = RandomFloats(77, 15);
  const std::vector<float> before = sum;
  ops().add(x.data(), 77, sum.data());
  for (size_t i = 0; i < 77; ++i) EXPECT_EQ(sum[i], before[i] + x[i]);
  EXPECT_TRUE(ops().all_finite(x.data(), 77));
  for (const size_t at : {size_t{0}, size_t{76}}) {
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      std::vector<float> y = x;
      y[at] = bad;
      EXPECT_FALSE(ops().all_finite(y.data(), 77));
    }
  }
  x[3] = std::numeric_limits<float>::max();
  EXPECT_TRUE(ops().all_finite(x.data(), 77));
}

TEST_P(OpsTest, DequantizesTilesAsQuantDoes) {
  for (const CodeFormat format : kCodeFormats) {
    const TileLayout layout{.format = format, .rows = 16, .cols = 2048};
    std::vector<std::byte> memory(layout.bytes() + 64);
    std::byte* at = memory.data();
    while (reinterpret_cast<uintptr_t>(at) % 64 != 0) ++at;
    const TileWeights tiles = PlaceTiles(layout, at);
    Rng rng(17);
    for (size_t i = 0; i < layout.bytes(); ++i) at[i] = static_cast<std::byte>(rng());
    // Any fp16 bits but NaN: subnormals, zeros, infinities.
    for (size_t i = 0; i < layout.param_count(); ++i) {
      tiles.scales[i] = static_cast<uint16_t>(rng.Below(0x7c01) | (rng() & 0x8000));
      if (format.has_minimum) {
        tiles.minima[i] = static_cast<uint16_t>(rng.Below(0x7c00) | (rng() & 0x8000));
      }
    }
    std::vector<float> got(16 * 2048);
    ops().dequantize_tile(
        {.weights = ViewTiles(tiles, 0), .format = format, .cols = layout.cols, .out = got.data()});
    for (int64_t n = 0; n < 16; ++n) {
      for (int64_t g = 0; g < layout.num_groups(); ++g) {
        float want[32];
        DequantizeGroup(format, LoadGroup(tiles, n, g), want);
        for (int64_t k = 0; k < format.group; ++k) {
          const float value = got[static_cast<size_t>((g * format.group + k) * 16 + n)];
          if (std::isnan(want[k])) {
            EXPECT_TRUE(std::isnan(value));  // infinity times zero
          } else {
            EXPECT_EQ(std::memcmp(&value, &want[k], 4), 0) << value << " " << want[k];
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, OpsTest, testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& param) { return std::string(IsaName(param.param)); });

}  // namespace
}  // namespace intactkv
