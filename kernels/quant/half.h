// IEEE binary16 and bfloat16 <-> binary32 by bit arithmetic, with directed rounding: the same bits
// on every compiler and CPU.
#pragma once

#include <cstdint>

#include "engine/base/half_float.h"  // IWYU pragma: export

namespace intactkv {

inline constexpr float kMaxHalf = 65504.0f;
inline constexpr float kMaxBfloat16 = 0x1.fep127f;

// To nearest (ties to even), toward minus infinity, toward plus infinity.
enum class HalfRounding : uint8_t { kNearest, kDown, kUp };

// |x| <= kMaxHalf for a finite result; beyond that, and for infinities, IEEE overflow of the
// rounding mode. NaN gives a quiet NaN. Subnormals are kept. Thread-safe.
uint16_t FloatToHalf(float x, HalfRounding rounding = HalfRounding::kNearest);

// To nearest, ties to even. |x| <= kMaxBfloat16 for a finite result; beyond that it may become an
// infinity, which infinities stay. NaN gives a quiet NaN. Thread-safe.
uint16_t FloatToBfloat16(float x);

}  // namespace intactkv
