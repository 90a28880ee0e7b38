// Frequencies of rotary position embedding, with the scalings that served families use.
// Su et al. 2021, arXiv:2104.09864.
#pragma once

#include <vector>

namespace intactkv {

// Linear factors lie between: beyond them frequencies leave the range of float.
inline constexpr double kMinRopeFactor = 1e-6;
inline constexpr double kMaxRopeFactor = 1e6;

// Llama 3.1's scaling: long waves turn `factor` times slower, short ones as before, those between
// are interpolated. Grattafiori et al. 2024, arXiv:2407.21783; the formula is that of Meta's
// reference code (meta-llama/llama-models, apply_scaling).
struct Llama3Scaling {
  double factor = 1;
  double low_freq_factor = 1;   // waves longer than original_context / low are long
  double high_freq_factor = 4;  // > low_freq_factor; waves shorter than original_context / high
                                // are short
  double original_context = 8192;
};

// What each of the head_dim / 2 frequencies is divided by.
std::vector<float> Llama3Divisors(const Llama3Scaling& scaling, double base, int head_dim);

// base^(-2i / head_dim) / (divisors[i] * linear_factor), in double, rounded once.
std::vector<float> RopeFrequencies(double base, int head_dim, const std::vector<float>& divisors,
                                   double linear_factor);

}  // namespace intactkv
