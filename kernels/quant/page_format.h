// Formats of one slice of a KV page: the K and V of 32 tokens of one (layer, KV head).
//
// Slice = [K data | K params | V data | V params], contiguous, its size a multiple of 128 bytes
// (kernels.md 3, decisions.md 3.2).
//   F32        K line c (D lines per 16-token group): f32[tok] = dim c.
//              V row-major [32][D] f32. No params.
//   F16, BF16  K line c (D/2 per group): u16[tok*2+j] = dim 2c+j.
//              V pair o: u16[d*2+j] = token 2o+j. No params.
//   I8         K line c (D/4 per group): byte[tok*4+j] = dim 4c+j.
//              V quad o, block b: byte[d*4+j] = token 4o+j, d = dim-16b.
//   I4         K line c (D/8 per group): byte[tok*4+j] lo = dim 8c+j, hi = dim 8c+4+j.
//              V octet o, block b: byte[d*4+j] lo = token 8o+j, hi = token 8o+4+j.
// Integer K is per channel over the page: fp16 scale ks[D], minimum kz[D]. Integer V is per token:
// vs[32], vz[32] fp16. Codes are unsigned: x = float(s) * u + float(z). Only a full page is
// quantized.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/page_entry.h"

namespace intactkv {

enum class SideFormat : uint8_t { kF32 = 0, kF16 = 1, kI8 = 2, kI4 = 3, kBF16 = 4 };

// Codes with a scale and a minimum, not floats.
constexpr bool IsInteger(SideFormat format) {
  return format == SideFormat::kI8 || format == SideFormat::kI4;
}

// Format of both sides of a slice. I8C = {kI8, kI8}, I4C = {kI4, kI4}; K and V may differ, as in
// K8V4 = {kI8, kI4}.
struct KvFormat {
  SideFormat k = SideFormat::kF32;
  SideFormat v = SideFormat::kF32;
  friend bool operator==(KvFormat, KvFormat) = default;
};
inline constexpr KvFormat kKvF32{SideFormat::kF32, SideFormat::kF32};
inline constexpr KvFormat kKvF16{SideFormat::kF16, SideFormat::kF16};
inline constexpr KvFormat kKvBF16{SideFormat::kBF16, SideFormat::kBF16};
inline constexpr KvFormat kKvI8C{SideFormat::kI8, SideFormat::kI8};
inline constexpr KvFormat kKvK8V4{SideFormat::kI8, SideFormat::kI4};
inline constexpr KvFormat kKvI4C{SideFormat::kI4, SideFormat::kI4};

// No codes on either side: such a page may be written before it is full.
constexpr bool IsFloat(KvFormat format) { return !IsInteger(format.k) && !IsInteger(format.v); }

// "f32", "f16", "bf16", "i8c", "k8v4", "i4c", or "mixed".
std::string_view KvFormatName(KvFormat format);

// Byte offsets inside one slice. head_dim: a multiple of 32 in [32, 256].
struct SliceLayout {
  size_t k_data = 0, k_params = 0, v_data = 0, v_params = 0;
  size_t bytes = 0;  // rounded up to a multiple of 128
};
SliceLayout MakeSliceLayout(KvFormat format, int head_dim);

}  // namespace intactkv
