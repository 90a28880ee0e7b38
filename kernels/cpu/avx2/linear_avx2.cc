// Compiled with -mavx2 -mfma -mf16c. Includes nothing that has inline functions of its own: they
// would be compiled with these flags under a shared name.
#include <immintrin.h>

#include "kernels/cpu/linear_kernels.h"

namespace intactkv {
namespace {

constexpr int kGroup = 32;
constexpr int kTile = 16;

// Writes the outputs of one tile that exist. `valid` in [1, 16].
inline void StoreTile(float* out, __m256 low, __m256 high, int valid) {
  if (valid >= kTile) {
    _mm256_storeu_ps(out, low);
    _mm256_storeu_ps(out + 8, high);
    return;
  }
  alignas(32) float all[kTile];
  _mm256_store_ps(all, low);
  _mm256_store_ps(all + 8, high);
  for (int i = 0; i < valid; ++i) out[i] = all[i];
}

// kRows rows times kTiles tiles. kRows * kTiles * 2 accumulators, kTiles * 2 weights and one
// broadcast fit the 16 registers.
template <int kRows, int kTiles>
void FloatBlock(const FloatLinearArgs& a, int row, int tile) {
  __m256 y[kRows][2 * kTiles];
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < 2 * kTiles; ++t) y[m][t] = _mm256_setzero_ps();
  }
  const float* x = a.x + row * a.x_stride;
  for (int64_t block = 0; block < a.cols; block += kGroup) {
    __m256 s[kRows][2 * kTiles];
    for (int m = 0; m < kRows; ++m) {
      for (int t = 0; t < 2 * kTiles; ++t) s[m][t] = _mm256_setzero_ps();
    }
    const float* w = a.weights + (tile * a.cols + block) * kTile;
    for (int k = 0; k < kGroup; ++k) {
      __m256 wk[2 * kTiles];
      for (int t = 0; t < kTiles; ++t) {
        const float* at = w + t * a.cols * kTile + k * kTile;
        wk[2 * t] = _mm256_loadu_ps(at);
        wk[2 * t + 1] = _mm256_loadu_ps(at + 8);
      }
      for (int m = 0; m < kRows; ++m) {
        const __m256 xk = _mm256_broadcast_ss(x + m * a.x_stride + block + k);
        for (int t = 0; t < 2 * kTiles; ++t) s[m][t] = _mm256_fmadd_ps(wk[t], xk, s[m][t]);
      }
    }
    for (int m = 0; m < kRows; ++m) {
      for (int t = 0; t < 2 * kTiles; ++t) y[m][t] = _mm256_add_ps(y[m][t], s[m][t]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) {
      const int first = (tile + t) * kTile;
      StoreTile(a.y.out + (row + m) * a.y.stride + first, y[m][2 * t], y[m][2 * t + 1],
                a.y.num_outputs - first);
    }
  }
}

void LinearF32(const FloatLinearArgs& a) {
  int tile = 0;
  for (; a.y.num_rows == 1 && tile + 2 <= a.y.num_tiles; tile += 2) FloatBlock<1, 2>(a, 0, tile);
  for (; tile < a.y.num_tiles; ++tile) {
    int row = 0;
    for (; row + 6 <= a.y.num_rows; row += 6) FloatBlock<6, 1>(a, row, tile);
    for (; row + 3 <= a.y.num_rows; row += 3) FloatBlock<3, 1>(a, row, tile);
    for (; row < a.y.num_rows; ++row) FloatBlock<1, 1>(a, row, tile);
  }
}

inline __m256i Broadcast4(const int8_t* q) {
  int32_t word;
  __builtin_memcpy(&word, q, sizeof(word));
  return _mm256_set1_epi32(word);
}

// Adds now: left alone, g++ reorders integer sums into trees whose leaves it spills.
inline void Add16(__m256i& sum, __m256i x) {
  sum = _mm256_add_epi16(sum, x);
  asm("" : "+x"(sum));
}

inline void Add32(__m256i& sum, __m256i x) {
  sum = _mm256_add_epi32(sum, x);
  asm("" : "+x"(sum));
}

// dots[m][h] = the 8 exact sums of rows 8h.. of one (tile, group) of 4-bit codes. Eight products of
// at most 2 * 15 * 127 stay within int16.
template <int kRows>
inline void GroupDots4(const uint8_t* codes, const int8_t* q, int64_t cols, __m256i (*dots)[2]) {
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i sums[kRows][2];
  for (int m = 0; m < kRows; ++m) sums[m][0] = sums[m][1] = _mm256_setzero_si256();
  for (int line = 0; line < 4; ++line) {
    const __m256i w0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + 64 * line));
    const __m256i w1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + 64 * line + 32));
    const __m256i lo0 = _mm256_and_si256(w0, mask);
    const __m256i lo1 = _mm256_and_si256(w1, mask);
    const __m256i hi0 = _mm256_and_si256(_mm256_srli_epi16(w0, 4), mask);
    const __m256i hi1 = _mm256_and_si256(_mm256_srli_epi16(w1, 4), mask);
    for (int m = 0; m < kRows; ++m) {
      const __m256i low = Broadcast4(q + m * cols + 8 * line);
      Add16(sums[m][0], _mm256_maddubs_epi16(lo0, low));
      Add16(sums[m][1], _mm256_maddubs_epi16(lo1, low));
      const __m256i high = Broadcast4(q + m * cols + 8 * line + 4);
      Add16(sums[m][0], _mm256_maddubs_epi16(hi0, high));
      Add16(sums[m][1], _mm256_maddubs_epi16(hi1, high));
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
  for (int m = 0; m < kRows; ++m) {
    dots[m][0] = _mm256_madd_epi16(sums[m][0], ones);
    dots[m][1] = _mm256_madd_epi16(sums[m][1], ones);
  }
}

// The same for 8-bit codes, as sums of (u - 128) * q: |u - 128| * q with the sign moved to q, whose
// pair sums of at most 2 * 128 * 127 fit int16 (u * q would not).
template <int kRows>
inline void GroupDots8(const uint8_t* codes, const int8_t* q, int64_t cols, __m256i (*dots)[2]) {
  const __m256i flip = _mm256_set1_epi8(-128);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int m = 0; m < kRows; ++m) dots[m][0] = dots[m][1] = _mm256_setzero_si256();
  for (int line = 0; line < 8; ++line) {
    for (int h = 0; h < 2; ++h) {
      const __m256i w = _mm256_xor_si256(
          _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + 64 * line + 32 * h)), flip);
      const __m256i magnitude = _mm256_abs_epi8(w);
      for (int m = 0; m < kRows; ++m) {
        const __m256i x = _mm256_sign_epi8(Broadcast4(q + m * cols + 4 * line), w);
        Add32(dots[m][h], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, x), ones));
      }
    }
  }
}

inline __m256 LoadHalf8(const uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

template <int kRows, int kBits, bool kMinimum>
void IntBlock(const IntLinearArgs& a, int row, int tile) {
  constexpr int kGroupBytes = kTile * kGroup * kBits / 8;
  // What the dots above still have to be moved by, in units of the group's sum of q.
  constexpr int kShift = kBits == 4 ? (kMinimum ? 0 : -8) : (kMinimum ? 128 : 0);
  const int64_t groups = a.cols / kGroup;
  __m256 y[kRows][2];
  for (int m = 0; m < kRows; ++m) y[m][0] = y[m][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t w = tile * groups + g;
    __m256i dots[kRows][2];
    const int8_t* q = a.x.q + row * a.cols + g * kGroup;
    if constexpr (kBits == 4) {
      GroupDots4<kRows>(a.codes + w * kGroupBytes, q, a.cols, dots);
    } else {
      GroupDots8<kRows>(a.codes + w * kGroupBytes, q, a.cols, dots);
    }
    for (int h = 0; h < 2; ++h) {
      const __m256 scale = LoadHalf8(a.scales + w * kTile + 8 * h);
      for (int m = 0; m < kRows; ++m) {
        const int64_t x = (row + m) * groups + g;
        __m256i dot = dots[m][h];
        if constexpr (kShift != 0) {
          dot = _mm256_add_epi32(dot, _mm256_set1_epi32(kShift * a.x.sum[x]));
        }
        const __m256 product = _mm256_mul_ps(scale, _mm256_broadcast_ss(a.x.scale + x));
        y[m][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), product, y[m][h]);
      }
      if constexpr (kMinimum) {
        const __m256 minimum = LoadHalf8(a.minima + w * kTile + 8 * h);
        for (int m = 0; m < kRows; ++m) {
          const int64_t x = (row + m) * groups + g;
          y[m][h] = _mm256_fmadd_ps(minimum, _mm256_broadcast_ss(a.x.scaled_sum + x), y[m][h]);
        }
      }
    }
  }
  const int first = tile * kTile;
  for (int m = 0; m < kRows; ++m) {
    StoreTile(a.y.out + (row + m) * a.y.stride + first, y[m][0], y[m][1], a.y.num_outputs - first);
  }
}

template <int kBits, bool kMinimum>
void LinearInt(const IntLinearArgs& a) {
  for (int tile = 0; tile < a.y.num_tiles; ++tile) {
    int row = 0;
    for (; row + 4 <= a.y.num_rows; row += 4) IntBlock<4, kBits, kMinimum>(a, row, tile);
    for (; row + 2 <= a.y.num_rows; row += 2) IntBlock<2, kBits, kMinimum>(a, row, tile);
    for (; row < a.y.num_rows; ++row) IntBlock<1, kBits, kMinimum>(a, row, tile);
  }
}

}  // namespace

extern const LinearKernels kAvx2LinearKernels = {"avx2",
                                                 LinearF32,
                                                 LinearInt<4, false>,
                                                 LinearInt<4, true>,
                                                 LinearInt<8, false>,
                                                 LinearInt<8, true>};

}  // namespace intactkv
