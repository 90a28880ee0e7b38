#include "kernels/quant/half.h"

#include <bit>

namespace intactkv {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;

// Whether a magnitude is rounded away from zero, given what was cut off.
bool RoundsAway(HalfRounding rounding, bool negative, uint32_t kept, int32_t rest_against_half) {
  switch (rounding) {
    case HalfRounding::kNearest:
      return rest_against_half > 0 || (rest_against_half == 0 && (kept & 1u) != 0);
    case HalfRounding::kDown:
      return negative;
    case HalfRounding::kUp:
      return !negative;
  }
  return false;
}

}  // namespace

uint16_t FloatToHalf(float x, HalfRounding rounding) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const bool negative = (bits >> 31) != 0;
  const uint32_t sign = negative ? 0x8000u : 0u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > kInfinityBits) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude == kInfinityBits) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude == 0) return static_cast<uint16_t>(sign);

  const int32_t exponent = static_cast<int32_t>(magnitude >> 23) - 127;
  const uint32_t mantissa = (magnitude & 0x7fffffu) | (magnitude >= 0x800000u ? 0x800000u : 0u);
  if (exponent > 15) {  // 65536 and above
    const bool away = RoundsAway(rounding, negative, 0, 1);
    return static_cast<uint16_t>(sign | (away ? 0x7c00u : 0x7bffu));
  }
  // Below 2^-14 the unit in the last place stays 2^-24; everything below 2^-25 keeps no bit.
  const int32_t shift = exponent >= -14 ? 13 : (exponent < -25 ? 25 : -1 - exponent);
  const uint32_t kept = shift >= 25 ? 0u : mantissa >> shift;
  const uint32_t rest = shift >= 25 ? 1u : mantissa & ((1u << shift) - 1u);
  const uint32_t half = 1u << (shift - 1);
  uint32_t out =
      exponent >= -14 ? (static_cast<uint32_t>(exponent + 15) << 10) + (kept & 0x3ffu) : kept;
  if (rest != 0) {
    const int32_t against_half = rest > half ? 1 : (rest == half ? 0 : -1);
    if (RoundsAway(rounding, negative, kept, against_half)) ++out;  // may carry into the exponent
  }
  return static_cast<uint16_t>(sign | out);
}

uint16_t FloatToBfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > kInfinityBits) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  const uint32_t odd = bits >> 16 & 1u;
  return static_cast<uint16_t>((bits + 0x7fffu + odd) >> 16);  // may carry into the exponent
}

}  // namespace intactkv
