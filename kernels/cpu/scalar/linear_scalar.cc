#include <cmath>

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

// One (tile, group) against one row: 16 exact dots of (u - zero_point) and q.
template <int kBits>
void GroupDots(const uint8_t* codes, const int8_t* q, int32_t* dots) {
  constexpr int kLines = kBits;  // 4 or 8 lines of 64 bytes
  constexpr int kColumns = kWeightGroup / kLines;
  for (int line = 0; line < kLines; ++line) {
    const uint8_t* at = codes + 64 * line;
    const int8_t* x = q + kColumns * line;
    for (int row = 0; row < kTileRows; ++row) {
      for (int j = 0; j < 4; ++j) {
        const int byte = at[row * 4 + j];
        if constexpr (kBits == 4) {
          dots[row] += (byte & 15) * x[j] + (byte >> 4) * x[4 + j];
        } else {
          dots[row] += byte * x[j];
        }
      }
    }
  }
}

template <int kBits, bool kMinimum>
void LinearInt(const IntLinearArgs& a) {
  constexpr int kGroupBytes = kTileRows * kWeightGroup * kBits / 8;
  constexpr int kZeroPoint = kMinimum ? 0 : 1 << (kBits - 1);
  const int64_t groups = a.cols / kWeightGroup;
  for (int tile = 0; tile < a.y.num_tiles; ++tile) {
    for (int m = 0; m < a.y.num_rows; ++m) {
      float y[kTileRows] = {};
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t w = tile * groups + g;
        const int64_t x = m * groups + g;
        int32_t dots[kTileRows] = {};
        GroupDots<kBits>(a.codes + w * kGroupBytes, a.x.q + x * kWeightGroup, dots);
        for (int row = 0; row < kTileRows; ++row) {
          const int32_t dot = dots[row] - kZeroPoint * a.x.sum[x];
          const float scale = HalfToFloat(a.scales[w * kTileRows + row]) * a.x.scale[x];
          y[row] = std::fma(static_cast<float>(dot), scale, y[row]);
          if constexpr (kMinimum) {
            y[row] =
                std::fma(HalfToFloat(a.minima[w * kTileRows + row]), a.x.scaled_sum[x], y[row]);
          }
        }
      }
      for (int n = tile * kTileRows, row = 0; row < kTileRows && n < a.y.num_outputs; ++row, ++n) {
        a.y.out[m * a.y.stride + n] = y[row];
      }
    }
  }
}

}  // namespace

const LinearKernels kScalarLinearKernels = {
    "scalar",           LinearF32,           LinearInt<4, false>,
    LinearInt<4, true>, LinearInt<8, false>, LinearInt<8, true>};

}  // namespace intactkv
