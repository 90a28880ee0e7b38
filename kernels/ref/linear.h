// Scalar linears and activation quantization, written for reading. The arithmetic is the one that
// kernels/cpu/linear_kernels.h promises, on plain row-major data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/quant/weight_format.h"

namespace intactkv::ref {

// y[m][n] = sum_k w[n][k] x[m][k]; w: [rows, cols], x: [M, cols], y: [M, rows]. cols is a multiple
// of 32: each 32 products are summed by fma from 0, and the sums added in ascending order.
void LinearF32(std::span<const float> w, std::span<const float> x, int64_t cols,
               std::span<float> y);

// One group of 32 activations: x = scale * q, q in [-127, 127].
struct Int8Group {
  float scale = 0.0f;
  int8_t q[kWeightGroup] = {};
};
// scale = max|x| / 127, q = rne(x * (127 / max|x|)); all zero below 2^-100; scale NaN if an x is
// not finite.
Int8Group QuantizeActivations(std::span<const float> x);

// w: [rows][cols / format.group] groups; x: [M][cols / 32]. For each group of w in ascending order,
// s and m being the fp16 scale and minimum times their factors (exact):
//   y = fma(float(sum (u - zero_point) q), s * x.scale, y)
//   y = fma(m, x.scale * float(sum q), y)                           formats with a minimum
void LinearInt8(CodeFormat format, std::span<const CodeGroup> w, std::span<const Int8Group> x,
                int64_t cols, std::span<float> y);

}  // namespace intactkv::ref
