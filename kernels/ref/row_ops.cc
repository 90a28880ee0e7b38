#include "kernels/ref/row_ops.h"

#include <cmath>

namespace intactkv::ref {

std::vector<double> RmsNorm(std::span<const float> x, std::span<const float> weight, double eps) {
  double sum = 0.0;
  for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  const double root = std::sqrt(sum / static_cast<double>(x.size()) + eps);
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = static_cast<double>(x[i]) / root * static_cast<double>(weight[i]);
  }
  return out;
}

std::vector<double> Rope(std::span<const float> head, int64_t position,
                         std::span<const float> inv_freq, bool interleaved) {
  std::vector<double> out(head.size());
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const size_t a = interleaved ? 2 * i : i;
    const size_t b = interleaved ? 2 * i + 1 : i + inv_freq.size();
    const double angle = static_cast<double>(position) * static_cast<double>(inv_freq[i]);
    const double x = head[a];
    const double y = head[b];
    out[a] = x * std::cos(angle) - y * std::sin(angle);
    out[b] = x * std::sin(angle) + y * std::cos(angle);
  }
  return out;
}

double SiluMul(double gate, double up) { return gate / (1.0 + std::exp(-gate)) * up; }

}  // namespace intactkv::ref
