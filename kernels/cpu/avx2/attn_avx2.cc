// The attention table for AVX2, FMA and F16C: 8 lanes. vpmaddubsw would saturate on 8-bit codes, so
// codes are widened to 16 bits and both query planes stay together in one int16.
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/cpu/attn_kernels.h"

namespace intactkv {
namespace {

struct V {
  static constexpr int kLanes = 8;
  static constexpr const char* kSuffix = "avx2";
  using F = __m256;
  using I = __m256i;
  using Acc = __m256i;
  struct Codes {
    __m256i even, odd;  // codes 0, 2 and codes 1, 3 of each lane, as 16-bit words
  };
  using Quad = Codes;

  static F Load(const float* p) { return _mm256_loadu_ps(p); }
  static void Store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F Set1(float x) { return _mm256_set1_ps(x); }
  static float First(F x) { return _mm256_cvtss_f32(x); }
  static F Add(F a, F b) { return _mm256_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm256_div_ps(a, b); }
  static F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F Max(F a, F b) { return _mm256_max_ps(a, b); }
  static F Abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F Round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static I CvtI(F a) { return _mm256_cvtps_epi32(a); }
  static F CvtF(I a) { return _mm256_cvtepi32_ps(a); }
  static F Pow2(F n) {
    const __m256i biased = _mm256_add_epi32(CvtI(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }
  static F SelectBelow(F x, F bound, F below, F otherwise) {
    return _mm256_blendv_ps(otherwise, below, _mm256_cmp_ps(x, bound, _CMP_LT_OQ));
  }
  static F FirstLanes(int count, F a, F b) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i take = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(take));
  }
  static float ReduceMax(F a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }
  static float ReduceAdd(F a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }

  static __m256i LoadInts(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static F LoadBytes(const std::byte* p) { return Load(reinterpret_cast<const float*>(p)); }
  static F LoadHalf(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void LoadHalfPairs(const std::byte* p, F& even, F& odd) {
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0,
                                           1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    // Per 128-bit half: four even halves, then four odd ones; then the quarters are put in order.
    const __m256i x =
        _mm256_permute4x64_epi64(_mm256_shuffle_epi8(LoadInts(p), order), _MM_SHUFFLE(3, 1, 2, 0));
    even = _mm256_cvtph_ps(_mm256_castsi256_si128(x));
    odd = _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1));
  }
  static void LoadBfloat16Pairs(const std::byte* p, F& even, F& odd) {
    const __m256i x = LoadInts(p);
    even = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    odd = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(~0xffff)));
  }

  static Codes LoadCodes(const std::byte* p) {
    const __m256i x = LoadInts(p);
    return {_mm256_and_si256(x, _mm256_set1_epi16(0x00ff)), _mm256_srli_epi16(x, 8)};
  }
  static void LoadNibbles(const std::byte* p, Codes& low, Codes& high) {
    const __m256i mask = _mm256_set1_epi16(0x000f);
    const __m256i x = LoadInts(p);
    low = {_mm256_and_si256(x, mask), _mm256_and_si256(_mm256_srli_epi16(x, 8), mask)};
    high = {_mm256_and_si256(_mm256_srli_epi16(x, 4), mask), _mm256_srli_epi16(x, 12)};
  }
  // Each quad is four int16 in the order 0, 2, 1, 3, to meet Codes.
  static void StoreQuads(std::byte* p, I x) {
    const __m256i order =
        _mm256_setr_epi8(0, 1, 8, 9, 4, 5, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 8, 9, 4, 5,
                         12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_shuffle_epi8(x, order), _MM_SHUFFLE(3, 1, 2, 0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(words));
  }
  // A broadcast from memory; written with intrinsics, g++ 12 goes through general registers.
  static __m256i LoadPair(const std::byte* p) {
    __m256i out;
    asm("vpbroadcastd %1, %0" : "=x"(out) : "m"(*reinterpret_cast<const char(*)[4]>(p)));
    return out;
  }
  static Quad LoadQuad(const std::byte* p) { return {LoadPair(p), LoadPair(p + 4)}; }
  static Acc StartAcc(int32_t x) { return _mm256_set1_epi32(x); }
  static void Dot(Acc& acc, Codes u, Quad q) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(u.even, q.even));
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(u.odd, q.odd));
  }
  static I Sum(Acc acc) { return acc; }
};

#include "kernels/cpu/attn_kernels.inc"

}  // namespace

const AttnKernels& Avx2AttnKernels() { return kTable; }

}  // namespace intactkv

#endif  // __x86_64__
