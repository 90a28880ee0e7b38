#include "engine/model/rope_frequencies.h"

#include <cmath>
#include <cstddef>

#include "engine/base/check.h"

namespace intactkv {
namespace {

double PlainFrequency(double base, int head_dim, size_t i) {
  return std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
}

double Llama3Divisor(const Llama3Scaling& s, double frequency) {
  constexpr double kTwoPi = 6.283185307179586;
  const double waves = s.original_context * frequency / kTwoPi;  // in the original context
  if (waves > s.high_freq_factor) return 1;
  if (waves < s.low_freq_factor) return s.factor;
  const double smooth = (waves - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return 1 / ((1 - smooth) / s.factor + smooth);
}

}  // namespace

std::vector<float> Llama3Divisors(const Llama3Scaling& scaling, double base, int head_dim) {
  std::vector<float> out(static_cast<size_t>(head_dim) / 2);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(Llama3Divisor(scaling, PlainFrequency(base, head_dim, i)));
  }
  return out;
}

std::vector<float> RopeFrequencies(double base, int head_dim, const std::vector<float>& divisors,
                                   double linear_factor) {
  const size_t half = static_cast<size_t>(head_dim) / 2;
  CHECK_EQ(divisors.size(), half);
  std::vector<float> out(half);
  for (size_t i = 0; i < half; ++i) {
    out[i] = static_cast<float>(PlainFrequency(base, head_dim, i) /
                                (static_cast<double>(divisors[i]) * linear_factor));
  }
  return out;
}

}  // namespace intactkv
