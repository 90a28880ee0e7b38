// IEEE binary16 <-> binary32 by bit arithmetic, with directed rounding: the same bits on every
// compiler and CPU.
#pragma once

#include <cstdint>

#include "engine/base/half_float.h"  // IWYU pragma: export

namespace intactkv {

inline constexpr float kMaxHalf = 65504.0f;

// To nearest (ties to even), toward minus infinity, toward plus infinity.
enum class HalfRounding : uint8_t { kNearest, kDown, kUp };

// |x| <= kMaxHalf for a finite result; beyond that, and for infinities, IEEE overflow of the
// rounding mode. NaN gives a quiet NaN. Subnormals are kept. Thread-safe.
uint16_t FloatToHalf(float x, HalfRounding rounding = HalfRounding::kNearest);

}  // namespace intactkv
