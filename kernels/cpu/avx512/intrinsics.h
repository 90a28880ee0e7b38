// AVX-512 intrinsics, and vpdpbusd in a form that g++ 12 keeps in registers.
//
// With INTACTKV_EMULATE_AVX512 (a test build, never the product) SIMDe computes them instead, so
// that a machine without AVX-512 can check the arithmetic of these files.
#pragma once

#if defined(INTACTKV_EMULATE_AVX512)
#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include <cstdint>

namespace intactkv {
namespace {

// sum += 4 products per int32 lane of unsigned `u` and the signed bytes at `q`, the same four for
// each lane. g++ 12 spills tiles of accumulators written with the intrinsic (3x slower).
[[gnu::always_inline]] inline void DotBroadcast(__m512i& sum, __m512i u, const int8_t* q) {
#if defined(INTACTKV_EMULATE_AVX512)
  int32_t word;
  __builtin_memcpy(&word, q, sizeof(word));
  sum = _mm512_dpbusd_epi32(sum, u, _mm512_set1_epi32(word));
#else
  struct Word {
    char bytes[4];
  };
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(u), "m"(*reinterpret_cast<const Word*>(q)));
#endif
}

[[gnu::always_inline]] inline __m512 LoadHalf16(const uint16_t* at) {
#if defined(INTACTKV_EMULATE_AVX512)
  const auto* half = reinterpret_cast<const __m128i*>(at);
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_cvtph_ps(_mm_loadu_si128(half))),
                            _mm256_cvtph_ps(_mm_loadu_si128(half + 1)), 1);
#else
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
#endif
}

// 16 signed bytes as int32 lanes.
[[gnu::always_inline]] inline __m512i LoadBytes16(const int8_t* at) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

[[gnu::always_inline]] inline __m512 ToFloat(__m512i x) {
#if defined(INTACTKV_EMULATE_AVX512)
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_cvtepi32_ps(_mm512_castsi512_si256(x))),
                            _mm256_cvtepi32_ps(_mm512_extracti64x4_epi64(x, 1)), 1);
#else
  return _mm512_cvtepi32_ps(x);
#endif
}

// Writes the first `count` of 16 lanes; count in [0, 16).
[[gnu::always_inline]] inline void StoreFirst(float* out, __m512 lanes, int count) {
#if defined(INTACTKV_EMULATE_AVX512)
  alignas(64) float all[16];
  _mm512_store_ps(all, lanes);
  for (int i = 0; i < count; ++i) out[i] = all[i];
#else
  _mm512_mask_storeu_ps(out, static_cast<__mmask16>((1u << count) - 1u), lanes);
#endif
}

}  // namespace
}  // namespace intactkv
