// The scale rule of KV pages: one truth for all backends, bit for bit (kernels.md 3.2).
//
// Over each group (K: one channel of 32 tokens; V: one token of head_dim), in fp32:
//   z = fp16 toward -inf of min;  s = fp16 toward +inf of (max - z) / Q, at least 2^-14
//   u = clamp(rne((x - z) / s), 0, Q), with the rounded z and s;  Q = 255 or 15
// so no value of the group is clipped and |s*u + z - x| <= s/2 up to fp32 rounding. Finite values
// beyond the largest of the format (fp16's +-65504, for kBF16 its own) are clamped first and
// counted; a NaN counts as 0 and an infinity as that largest value, and both set non_finite: such a
// page must not be used. Source: asymmetric min/max quantization, K per
// channel and V per token as in KIVI (Liu et al. 2024, arXiv 2402.02750).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/page_format.h"

namespace intactkv {

struct QuantizeHealth {
  bool non_finite = false;
  int64_t num_clamped = 0;
};

// Converts an F32 slice (tile layout) into `to` (tile layout). Slices must not overlap.
// num_valid < kPageTokens only if both sides of `to` are float: tokens from num_valid on are not
// read, and written as zeros. Rounds to nearest for kF16 and kBF16 and assumes the default rounding
// mode. Thread-safe.
struct PromoteArgs {
  const std::byte* f32_slice = nullptr;
  int head_dim = 0;
  KvFormat to;
  int num_valid = kPageTokens;
};
QuantizeHealth PromoteSlice(const PromoteArgs& args, std::byte* slice);

// One group of `count` values, `stride` floats apart; codes are written with the same stride.
struct GroupParams {
  uint16_t scale = 0;    // fp16
  uint16_t minimum = 0;  // fp16
};
GroupParams QuantizeGroup(const float* x, int count, int stride, int max_code, uint8_t* codes);

}  // namespace intactkv
