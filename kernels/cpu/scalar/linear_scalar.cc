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

// Codes of columns 4 * half .. 4 * half + 3 of one row; `strip` is at the row's bytes.
template <int kBits>
void ReadCodes(const uint8_t* strip, int half, int* codes) {
  for (int j = 0; j < 4; ++j) {
    if constexpr (kBits == 8) {
      codes[j] = strip[half * 64 + j];
    } else {
      codes[j] = strip[half / 2 * 64 + j] >> (half % 2 * 4) & 15;
    }
    if constexpr (kBits == 5 || kBits == 6) {
      constexpr int kMore = kBits - 4;
      const int high = strip[(4 + half * kMore / 8) * 64 + j] >> (half * kMore % 8);
      codes[j] |= (high & ((1 << kMore) - 1)) << 4;
    }
  }
}

// 16 exact dots of u and q over columns [first, first + group) of one strip.
template <CodeFormat kFormat>
void GroupDots(const uint8_t* strip, const int8_t* q, int first, int32_t* dots) {
  for (int half = first / 4; half < (first + kFormat.group) / 4; ++half) {
    for (int row = 0; row < kTileRows; ++row) {
      int codes[4];
      ReadCodes<kFormat.bits>(strip + row * 4, half, codes);
      for (int j = 0; j < 4; ++j) dots[row] += codes[j] * q[4 * half + j];
    }
  }
}

// The parameter of output `n` of a tile, from what its row and group have.
float ReadParam(const uint16_t* params, const int8_t* factors, int n) {
  const float value = HalfToFloat(params[n]);
  return factors == nullptr ? value : value * static_cast<float>(factors[n]);
}

// One group of one tile against row m.
template <CodeFormat kFormat>
void AddGroup(const IntLinearArgs& a, int64_t m, int64_t strip, int first, float* y) {
  constexpr int kStripGroups = kWeightGroup / kFormat.group;
  const int64_t x = m * (a.cols / kWeightGroup) + strip % (a.cols / kWeightGroup);
  int32_t dots[kTileRows] = {};
  GroupDots<kFormat>(a.weights.codes + strip * kFormat.bits * 64, a.x.q + x * kWeightGroup, first,
                     dots);
  int32_t sum = a.x.sum[x];
  if constexpr (kStripGroups == 2) sum = first == 0 ? a.x.first_sum[x] : sum - a.x.first_sum[x];
  const int64_t param = (strip * kWeightGroup + first) / kFormat.span() * kTileRows;
  const int64_t factor = (strip * kStripGroups + first / kFormat.group) * kTileRows;
  const auto factors = [factor](const int8_t* at) {
    return kFormat.two_level ? at + factor : nullptr;
  };
  for (int n = 0; n < kTileRows; ++n) {
    const float scale = ReadParam(a.weights.scales + param, factors(a.weights.scale_factors), n);
    const auto dot = static_cast<float>(dots[n] - kFormat.zero_point() * sum);
    y[n] = std::fma(dot, scale * a.x.scale[x], y[n]);
    if constexpr (kFormat.has_minimum) {
      const float minimum =
          ReadParam(a.weights.minima + param, factors(a.weights.minimum_factors), n);
      y[n] = std::fma(minimum, a.x.scale[x] * static_cast<float>(sum), y[n]);
    }
  }
}

template <CodeFormat kFormat>
void LinearInt(const IntLinearArgs& a) {
  const int64_t strips = a.cols / kWeightGroup;
  for (int tile = 0; tile < a.y.num_tiles; ++tile) {
    for (int m = 0; m < a.y.num_rows; ++m) {
      float y[kTileRows] = {};
      for (int64_t strip = tile * strips; strip < (tile + 1) * strips; ++strip) {
        for (int first = 0; first < kWeightGroup; first += kFormat.group) {
          AddGroup<kFormat>(a, m, strip, first, y);
        }
      }
      for (int n = tile * kTileRows, row = 0; row < kTileRows && n < a.y.num_outputs; ++row, ++n) {
        a.y.out[m * a.y.stride + n] = y[row];
      }
    }
  }
}

template <size_t... kIndex>
constexpr LinearKernels MakeKernels(std::index_sequence<kIndex...>) {
  return {"scalar", LinearF32, {LinearInt<kCodeFormats[kIndex]>...}};
}

}  // namespace

const LinearKernels kScalarLinearKernels = MakeKernels(std::make_index_sequence<kNumCodeFormats>());

}  // namespace intactkv
