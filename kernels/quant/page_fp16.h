// IEEE binary16 by bit arithmetic, with directed rounding: the same bits on every compiler and CPU.
#pragma once

#include <cstdint>

namespace intactkv {

inline constexpr float kMaxFp16 = 65504.0f;

// To nearest (ties to even), toward minus infinity, toward plus infinity.
enum class Fp16Rounding : uint8_t { kNearest, kDown, kUp };

// |x| <= kMaxFp16 for a finite result; beyond that, and for infinities, IEEE overflow of the
// rounding mode. NaN gives a quiet NaN. Subnormals are kept. Thread-safe.
uint16_t FloatToFp16(float x, Fp16Rounding rounding);

// Exact. Thread-safe.
float Fp16ToFloat(uint16_t h);

}  // namespace intactkv
