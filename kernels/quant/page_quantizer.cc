#include "kernels/quant/page_quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>

#include "engine/base/check.h"
#include "kernels/quant/half.h"
#include "kernels/quant/page_pack.h"

namespace intactkv {
namespace {

constexpr size_t kTokens = kPageTokens;
constexpr size_t kMaxDims = 256;
constexpr float kMinScale = 0x1p-14f;
// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to the nearest integer, ties to even.
constexpr float kRoundMagic = 12582912.0f;

using SideValues = std::array<float, kTokens * kMaxDims>;
using Canonical = std::array<std::byte, 2 * kTokens * kMaxDims * sizeof(float)>;

// Makes every value finite and at most `largest`.
QuantizeHealth Clamp(std::span<float> values, float largest) {
  QuantizeHealth health;
  for (float& x : values) {
    if (std::abs(x) <= largest) continue;
    if (std::isfinite(x)) {
      ++health.num_clamped;
    } else {
      health.non_finite = true;
    }
    x = std::isnan(x) ? 0.0f : (x > 0.0f ? largest : -largest);
  }
  return health;
}

QuantizeHealth CheckFinite(std::span<const float> values) {
  for (const float x : values) {
    if (!std::isfinite(x)) return {.non_finite = true};
  }
  return {};
}

// Writes [32][dims] floats as codes, scales and minima in canonical form.
void QuantizeSide(KvSide side, std::span<const float> values, int max_code, std::byte* canonical) {
  const size_t dims = values.size() / kTokens;
  const size_t num_groups = side == KvSide::kK ? dims : kTokens;
  const size_t group_step = side == KvSide::kK ? 1 : dims;
  const int stride = side == KvSide::kK ? static_cast<int>(dims) : 1;
  const int count = static_cast<int>(side == KvSide::kK ? kTokens : dims);
  std::byte* scales = canonical + values.size();
  std::byte* minima = scales + num_groups * sizeof(uint16_t);
  auto* codes = reinterpret_cast<uint8_t*>(canonical);
  for (size_t g = 0; g < num_groups; ++g) {
    const size_t first = g * group_step;
    const GroupParams params =
        QuantizeGroup(values.data() + first, count, stride, max_code, codes + first);
    std::memcpy(scales + g * sizeof(uint16_t), &params.scale, sizeof(uint16_t));
    std::memcpy(minima + g * sizeof(uint16_t), &params.minimum, sizeof(uint16_t));
  }
}

// One side from fp32 to canonical form of `format`.
QuantizeHealth ConvertSide(KvSide side, SideFormat format, std::span<float> values,
                           std::byte* canonical) {
  if (format == SideFormat::kF32) {
    std::memcpy(canonical, values.data(), values.size_bytes());
    return CheckFinite(values);
  }
  const bool is_bfloat16 = format == SideFormat::kBF16;
  const QuantizeHealth health = Clamp(values, is_bfloat16 ? kMaxBfloat16 : kMaxHalf);
  if (!IsInteger(format)) {
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t bits = is_bfloat16 ? FloatToBfloat16(values[i]) : FloatToHalf(values[i]);
      std::memcpy(canonical + i * sizeof(bits), &bits, sizeof(bits));
    }
    return health;
  }
  QuantizeSide(side, values, format == SideFormat::kI8 ? 255 : 15, canonical);
  return health;
}

}  // namespace

GroupParams QuantizeGroup(const float* x, int count, int stride, int max_code, uint8_t* codes) {
  float low = x[0];
  float high = x[0];
  for (int i = 1; i < count; ++i) {
    low = std::min(low, x[i * stride]);
    high = std::max(high, x[i * stride]);
  }
  const float top = static_cast<float>(max_code);
  GroupParams params;
  params.minimum = FloatToHalf(low, HalfRounding::kDown);
  const float z = HalfToFloat(params.minimum);
  params.scale = FloatToHalf(std::max((high - z) / top, kMinScale), HalfRounding::kUp);
  const float s = HalfToFloat(params.scale);
  for (int i = 0; i < count; ++i) {
    const float rounded = ((x[i * stride] - z) / s + kRoundMagic) - kRoundMagic;
    codes[i * stride] = static_cast<uint8_t>(std::clamp(rounded, 0.0f, top));
  }
  return params;
}

QuantizeHealth PromoteSlice(const PromoteArgs& args, std::byte* slice) {
  const size_t dims = static_cast<size_t>(args.head_dim);
  const bool full = args.num_valid == kPageTokens;
  CHECK(args.num_valid > 0 && args.num_valid <= kPageTokens) << args.num_valid;
  CHECK(full || IsFloat(args.to));

  const size_t side_values = kTokens * dims;
  alignas(64) Canonical source;
  const size_t source_bytes = CanonicalSliceBytes(kKvF32, args.head_dim);
  UnpackSlice(kKvF32, args.head_dim, args.f32_slice, {source.data(), source_bytes});
  alignas(64) Canonical target;
  std::byte* out = target.data();
  QuantizeHealth health;
  alignas(64) SideValues values;
  for (const KvSide side : {KvSide::kK, KvSide::kV}) {
    const SideFormat format = side == KvSide::kK ? args.to.k : args.to.v;
    const size_t offset = side == KvSide::kK ? 0 : side_values * sizeof(float);
    std::memcpy(values.data(), source.data() + offset, side_values * sizeof(float));
    const auto first_invalid =
        values.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(args.num_valid) * dims);
    std::fill(first_invalid, values.begin() + static_cast<std::ptrdiff_t>(side_values), 0.0f);
    const QuantizeHealth one = ConvertSide(side, format, {values.data(), side_values}, out);
    health.non_finite |= one.non_finite;
    health.num_clamped += one.num_clamped;
    out += CanonicalSideBytes(format, side, args.head_dim);
  }
  PackSlice(args.to, args.head_dim, {target.data(), static_cast<size_t>(out - target.data())},
            slice);
  return health;
}

}  // namespace intactkv
