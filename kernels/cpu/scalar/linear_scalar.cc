#include <cmath>
#include <utility>

#include "kernels/cpu/linear_kernels.h"
#include "kernels/quant/half.h"
#include "kernels/quant/weight_format.h"

namespace intactkv {
namespace {

void LinearF32(const FloatLinearArgs& a) {
  for (int n = 0; n < a.y.num_outputs; ++n) {
    const float* w = a.weights + (n / kTileRows) * a.cols * kTileRows + n % kTileRows;
    for (int m = 0; m < a.y.num_rows; ++m) {
      const float* x = a.x + m * a.x_stride;
      float y = 0.0f;
      for (int64_t block = 0; block < a.cols; block += kWeightGroup) {
        float s = 0.0f;
        for (int64_t k = block; k < block + kWeightGroup; ++k) {
          s = std::fma(w[k * kTileRows], x[k], s);
        }
        y += s;
      }
      a.y.out[m * a.y.stride + n] = y;
    }
  }
}

// dots[row] += u * q over columns 8 * line .. 8 * line + 7 of one strip.
template <int kBits>
[[gnu::always_inline]] inline void AddLine(const uint8_t* strip, int line, const int8_t* q,
                                           int32_t* dots) {
  constexpr int kMore = kBits == 8 ? 0 : kBits - 4;  // bits above the low plane
  constexpr int kMask = (1 << kMore) - 1;
  const uint8_t* low = strip + line * (kBits == 8 ? 128 : 64);
  const uint8_t* high = strip + (4 + 2 * line * kMore / 8) * 64;
  const int shift = 2 * line * kMore % 8;
  const int8_t* x = q + 8 * line;
  for (int row = 0; row < kTileRows; ++row) {
    int32_t dot = 0;
    for (int j = 0; j < 4; ++j) {
      const int at = row * 4 + j;
      int first = kBits == 8 ? low[at] : low[at] & 15;
      int second = kBits == 8 ? low[64 + at] : low[at] >> 4;
      if constexpr (kMore != 0) {
        const int more = high[at] >> shift;
        first |= (more & kMask) << 4;
        second |= (more >> kMore & kMask) << 4;
      }
      dot += first * x[j] + second * x[4 + j];
    }
    dots[row] += dot;
  }
}

// The parameter of output `n` of a tile, from what its row and group have.
[[gnu::always_inline]] inline float ReadParam(const uint16_t* params, const int8_t* factors,
                                              int n) {
  const float value = HalfToFloat(params[n]);
  return factors == nullptr ? value : value * static_cast<float>(factors[n]);
}

// One group of strip `strip`, counted from the first tile's, against group `x` of the activations.
template <CodeFormat kFormat, int kFirst>
void AddGroup(const IntLinearArgs& a, int64_t strip, int64_t x, float* y) {
  constexpr int kStripGroups = kWeightGroup / kFormat.group;
  int32_t dots[kTileRows] = {};
  for (int line = kFirst / 8; line < (kFirst + kFormat.group) / 8; ++line) {
    AddLine<kFormat.bits>(a.weights.codes + strip * kFormat.bits * 64, line,
                          a.x.q + x * kWeightGroup, dots);
  }
  int32_t sum = a.x.sum[x];
  if constexpr (kStripGroups == 2) sum = kFirst == 0 ? a.x.first_sum[x] : sum - a.x.first_sum[x];
  const float x_scale = a.x.scale[x];
  const float scaled_sum = x_scale * static_cast<float>(sum);
  const int64_t param = (strip * kWeightGroup + kFirst) / kFormat.span() * kTileRows;
  const int64_t factor = (strip * kStripGroups + kFirst / kFormat.group) * kTileRows;
  const auto factors = [factor](const int8_t* at) {
    return kFormat.two_level ? at + factor : nullptr;
  };
  for (int n = 0; n < kTileRows; ++n) {
    const float scale = ReadParam(a.weights.scales + param, factors(a.weights.scale_factors), n);
    const auto dot = static_cast<float>(dots[n] - kFormat.zero_point() * sum);
    y[n] = std::fma(dot, scale * x_scale, y[n]);
    if constexpr (kFormat.has_minimum) {
      const float minimum =
          ReadParam(a.weights.minima + param, factors(a.weights.minimum_factors), n);
      y[n] = std::fma(minimum, scaled_sum, y[n]);
    }
  }
}

template <CodeFormat kFormat>
void LinearInt(const IntLinearArgs& a) {
  const int64_t strips = a.cols / kWeightGroup;
  for (int tile = 0; tile < a.y.num_tiles; ++tile) {
    for (int m = 0; m < a.y.num_rows; ++m) {
      float y[kTileRows] = {};
      for (int64_t strip = 0; strip < strips; ++strip) {
        AddGroup<kFormat, 0>(a, tile * strips + strip, m * strips + strip, y);
        if constexpr (kFormat.group < kWeightGroup) {
          AddGroup<kFormat, kFormat.group>(a, tile * strips + strip, m * strips + strip, y);
        }
      }
      for (int n = tile * kTileRows, row = 0; row < kTileRows && n < a.y.num_outputs; ++row, ++n) {
        a.y.out[m * a.y.stride + n] = y[row];
      }
    }
  }
}

template <size_t... kIndex>
constexpr LinearKernels MakeKernels(std::index_sequence<kIndex...>) noexcept {
  return {"scalar", LinearF32, {LinearInt<kCodeFormats[kIndex]>...}};
}

}  // namespace

constinit const LinearKernels kScalarLinearKernels =
    MakeKernels(std::make_index_sequence<kNumCodeFormats>());

}  // namespace intactkv
