// The attention table for AVX-512 with VNNI: 16 lanes, two int8 planes per query or probability.
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/cpu/attn_kernels.h"

namespace intactkv {
namespace {

struct V {
  static constexpr int kLanes = 16;
  static constexpr const char* kSuffix = "avx512vnni";
  using F = __m512;
  using I = __m512i;
  using Codes = __m512i;
  struct Quad {
    __m512i high, low;  // x = 128 * high + low, |high| <= 127, low in [-64, 63]
  };
  struct Acc {
    __m512i high, low;
  };

  static F Load(const float* p) { return _mm512_loadu_ps(p); }
  static void Store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F Set1(float x) { return _mm512_set1_ps(x); }
  static float First(F x) { return _mm512_cvtss_f32(x); }
  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm512_div_ps(a, b); }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F Abs(F a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
  static F Round(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static I CvtI(F a) { return _mm512_cvtps_epi32(a); }
  static F CvtF(I a) { return _mm512_cvtepi32_ps(a); }
  static F Pow2(F n) {
    const __m512i biased = _mm512_add_epi32(CvtI(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
  }
  static F SelectBelow(F x, F bound, F below, F otherwise) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, bound, _CMP_LT_OQ), otherwise, below);
  }
  static F FirstLanes(int count, F a, F b) {
    const auto take = static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << count) - 1u);
    return _mm512_mask_blend_ps(take, b, a);
  }
  static float ReduceMax(F a) {
    const __m256 y = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }
  static float ReduceAdd(F a) {
    const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }

  static F LoadBytes(const std::byte* p) { return Load(reinterpret_cast<const float*>(p)); }
  static F LoadHalf(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static void LoadHalfPairs(const std::byte* p, F& even, F& odd) {
    const __m512i x = LoadCodes(p);
    even = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x));
    odd = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(x, 16)));
  }
  static void LoadBfloat16Pairs(const std::byte* p, F& even, F& odd) {
    const __m512i x = LoadCodes(p);
    even = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
    odd = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(~0xffff)));
  }

  static Codes LoadCodes(const std::byte* p) { return _mm512_loadu_si512(p); }
  static void LoadNibbles(const std::byte* p, Codes& low, Codes& high) {
    const __m512i mask = _mm512_set1_epi8(0x0f);
    const __m512i x = LoadCodes(p);
    low = _mm512_and_si512(x, mask);
    high = _mm512_and_si512(_mm512_srli_epi16(x, 4), mask);
  }
  // Each quad is four bytes of the high plane, then four of the low one.
  static void StoreQuads(std::byte* p, I x) {
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(64)), 7);
    const __m512i low = _mm512_sub_epi32(x, _mm512_slli_epi32(high, 7));
    const __m128i h = _mm512_cvtepi32_epi8(high);
    const __m128i l = _mm512_cvtepi32_epi8(low);
    auto* out = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(out, _mm_unpacklo_epi32(h, l));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi32(h, l));
  }
  static Quad LoadQuad(const std::byte* p) {
    int32_t words[2];
    __builtin_memcpy(words, p, sizeof(words));
    return {_mm512_set1_epi32(words[0]), _mm512_set1_epi32(words[1])};
  }
  static Acc StartAcc(int32_t x) { return {_mm512_setzero_si512(), _mm512_set1_epi32(x)}; }
  static void Dot(Acc& acc, Codes u, Quad q) {
    acc.high = _mm512_dpbusd_epi32(acc.high, u, q.high);
    acc.low = _mm512_dpbusd_epi32(acc.low, u, q.low);
  }
  static I Sum(Acc acc) { return _mm512_add_epi32(_mm512_slli_epi32(acc.high, 7), acc.low); }
};

#include "kernels/cpu/attn_kernels.inc"

}  // namespace

const AttnKernels& Avx512AttnKernels() { return kTable; }

}  // namespace intactkv

#endif  // __x86_64__
