#include "kernels/ref/attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/base/check.h"
#include "kernels/quant/half.h"
#include "kernels/quant/page_pack.h"

namespace intactkv {
namespace {

double ReadFp16(const std::byte* at) {
  uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof(bits));
  return static_cast<double>(HalfToFloat(bits));
}

double ReadBfloat16(const std::byte* at) {
  uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof(bits));
  return static_cast<double>(Bfloat16ToFloat(bits));
}

double ReadF32(const std::byte* at) {
  float x = 0;
  std::memcpy(&x, at, sizeof(x));
  return static_cast<double>(x);
}

// One side of a canonical slice.
struct Side {
  KvSide side;
  SideFormat format;
  std::span<const std::byte> canonical;
};

// Decodes the first `tokens` tokens value by value.
void AppendSide(const Side& from, size_t dims, size_t tokens, std::vector<double>& out) {
  const auto [side, format, canonical] = from;
  const size_t elements = kPageTokens * dims;
  const size_t num_groups = side == KvSide::kK ? dims : kPageTokens;
  const std::byte* scales = canonical.data() + elements;
  const std::byte* minima = scales + num_groups * 2;
  for (size_t i = 0; i < tokens * dims; ++i) {
    switch (format) {
      case SideFormat::kF32:
        out.push_back(ReadF32(canonical.data() + i * 4));
        break;
      case SideFormat::kF16:
        out.push_back(ReadFp16(canonical.data() + i * 2));
        break;
      case SideFormat::kBF16:
        out.push_back(ReadBfloat16(canonical.data() + i * 2));
        break;
      case SideFormat::kI8:
      case SideFormat::kI4: {
        const size_t group = side == KvSide::kK ? i % dims : i / dims;
        const double code = std::to_integer<int>(canonical[i]);
        out.push_back(ReadFp16(scales + group * 2) * code + ReadFp16(minima + group * 2));
        break;
      }
    }
  }
}

}  // namespace

void RefAppendSlice(KvFormat format, int head_dim, std::span<const std::byte> canonical,
                    int num_tokens, RefKv& out) {
  CHECK_EQ(canonical.size(), CanonicalSliceBytes(format, head_dim));
  CHECK(num_tokens >= 0 && num_tokens <= kPageTokens);
  const size_t dims = static_cast<size_t>(head_dim);
  const size_t tokens = static_cast<size_t>(num_tokens);
  const size_t k_bytes = CanonicalSideBytes(format.k, KvSide::kK, head_dim);
  AppendSide({KvSide::kK, format.k, canonical.first(k_bytes)}, dims, tokens, out.k);
  AppendSide({KvSide::kV, format.v, canonical.subspan(k_bytes)}, dims, tokens, out.v);
}

std::vector<double> RefAttention(std::span<const float> q, double scale, const RefKv& kv) {
  const size_t dims = q.size();
  const size_t tokens = kv.k.size() / dims;
  CHECK(tokens > 0 && kv.k.size() == kv.v.size());
  std::vector<double> p(tokens);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t d = 0; d < dims; ++d) p[t] += static_cast<double>(q[d]) * kv.k[t * dims + d];
    p[t] *= scale;
  }
  const double top = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& x : p) sum += x = std::exp(x - top);
  std::vector<double> out(dims);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t d = 0; d < dims; ++d) out[d] += p[t] / sum * kv.v[t * dims + d];
  }
  return out;
}

}  // namespace intactkv
