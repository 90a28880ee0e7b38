// Scalar RMSNorm, RoPE and gated activation in double precision, for the bounds of the tests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace intactkv::ref {

// x[i] / sqrt(mean(x^2) + eps) * weight[i]
std::vector<double> RmsNorm(std::span<const float> x, std::span<const float> weight, double eps);

// Rotates one head: pair i by position * inv_freq[i]. Pairs are (2i, 2i+1), or (i, i + D/2).
std::vector<double> Rope(std::span<const float> head, int64_t position,
                         std::span<const float> inv_freq, bool interleaved);

// gate / (1 + exp(-gate)) * up
double SiluMul(double gate, double up);

}  // namespace intactkv::ref
