#include "kernels/ref/linear.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/quant/half.h"

namespace intactkv::ref {

void LinearF32(std::span<const float> w, std::span<const float> x, int64_t cols,
               std::span<float> y) {
  const size_t k = static_cast<size_t>(cols);
  const size_t rows = w.size() / k;
  for (size_t m = 0; m < x.size() / k; ++m) {
    for (size_t n = 0; n < rows; ++n) {
      float sum = 0.0f;
      for (size_t block = 0; block < k; block += kWeightGroup) {
        float s = 0.0f;
        for (size_t i = block; i < block + kWeightGroup; ++i) {
          s = std::fma(w[n * k + i], x[m * k + i], s);
        }
        sum += s;
      }
      y[m * rows + n] = sum;
    }
  }
}

Int8Group QuantizeActivations(std::span<const float> x) {
  Int8Group out;
  float max = 0.0f;
  for (const float value : x) {
    if (!std::isfinite(value)) {
      out.scale = std::numeric_limits<float>::quiet_NaN();
      return out;
    }
    max = std::max(max, std::fabs(value));
  }
  if (max < 0x1.0p-100f) return out;
  out.scale = max / 127.0f;
  const float inverse = 127.0f / max;
  for (size_t i = 0; i < x.size(); ++i) {
    out.q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  }
  return out;
}

namespace {

// y after one group of weights against the 16 or 32 activations of `x` from column `first` on.
float AddGroup(CodeFormat format, const CodeGroup& w, const Int8Group& x, int first, float y) {
  int32_t dot = 0;
  int32_t sum = 0;
  for (int i = 0; i < format.group; ++i) {
    dot += (w.codes[i] - format.zero_point()) * x.q[first + i];
    sum += x.q[first + i];
  }
  const float scale = HalfToFloat(w.scale) * static_cast<float>(w.scale_factor);
  y = std::fma(static_cast<float>(dot), scale * x.scale, y);
  if (!format.has_minimum) return y;
  const float minimum = HalfToFloat(w.minimum) * static_cast<float>(w.minimum_factor);
  return std::fma(minimum, x.scale * static_cast<float>(sum), y);
}

}  // namespace

void LinearInt8(CodeFormat format, std::span<const CodeGroup> w, std::span<const Int8Group> x,
                int64_t cols, std::span<float> y) {
  const size_t groups = static_cast<size_t>(cols / format.group);
  const size_t x_groups = static_cast<size_t>(cols / kWeightGroup);
  const size_t rows = w.size() / groups;
  for (size_t m = 0; m < x.size() / x_groups; ++m) {
    for (size_t n = 0; n < rows; ++n) {
      float sum = 0.0f;
      for (size_t g = 0; g < groups; ++g) {
        const int column = static_cast<int>(g) * format.group;
        sum = AddGroup(format, w[n * groups + g],
                       x[m * x_groups + static_cast<size_t>(column / kWeightGroup)],
                       column % kWeightGroup, sum);
      }
      y[m * rows + n] = sum;
    }
  }
}

}  // namespace intactkv::ref
