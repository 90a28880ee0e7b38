// Compiled with AVX-512 flags. Includes nothing that has inline functions of its own: they would be
// compiled with these flags under a shared name.
#include "kernels/cpu/avx512/intrinsics.h"
#include "kernels/cpu/linear_kernels.h"

namespace intactkv {
namespace {

constexpr int kGroup = 32;
constexpr int kTile = 16;

// Writes the outputs of one tile that exist. `valid` >= 1.
inline void StoreTile(float* out, __m512 y, int valid) {
  if (valid >= kTile) {
    _mm512_storeu_ps(out, y);
  } else {
    StoreFirst(out, y, valid);
  }
}

template <int kRows, int kTiles>
void FloatBlock(const FloatLinearArgs& a, int row, int tile) {
  __m512 y[kRows][kTiles];
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) y[m][t] = _mm512_setzero_ps();
  }
  const float* x = a.x + row * a.x_stride;
  for (int64_t block = 0; block < a.cols; block += kGroup) {
    __m512 s[kRows][kTiles];
    for (int m = 0; m < kRows; ++m) {
      for (int t = 0; t < kTiles; ++t) s[m][t] = _mm512_setzero_ps();
    }
    const float* w = a.weights + (tile * a.cols + block) * kTile;
    for (int k = 0; k < kGroup; ++k) {
      __m512 wk[kTiles];
      for (int t = 0; t < kTiles; ++t) wk[t] = _mm512_loadu_ps(w + (t * a.cols + k) * kTile);
      for (int m = 0; m < kRows; ++m) {
        const __m512 xk = _mm512_set1_ps(x[m * a.x_stride + block + k]);
        for (int t = 0; t < kTiles; ++t) s[m][t] = _mm512_fmadd_ps(wk[t], xk, s[m][t]);
      }
    }
    for (int m = 0; m < kRows; ++m) {
      for (int t = 0; t < kTiles; ++t) y[m][t] = _mm512_add_ps(y[m][t], s[m][t]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) {
      const int first = (tile + t) * kTile;
      StoreTile(a.y.out + (row + m) * a.y.stride + first, y[m][t], a.y.num_outputs - first);
    }
  }
}

template <int kTiles>
void FloatTiles(const FloatLinearArgs& a, int tile) {
  int row = 0;
  for (; row + 6 <= a.y.num_rows; row += 6) FloatBlock<6, kTiles>(a, row, tile);
  for (; row + 3 <= a.y.num_rows; row += 3) FloatBlock<3, kTiles>(a, row, tile);
  for (; row < a.y.num_rows; ++row) FloatBlock<1, kTiles>(a, row, tile);
}

void LinearF32(const FloatLinearArgs& a) {
  int tile = 0;
  for (; tile + 2 <= a.y.num_tiles; tile += 2) FloatTiles<2>(a, tile);
  for (; tile < a.y.num_tiles; ++tile) FloatTiles<1>(a, tile);
}

// dots[m][t] += the 16 exact sums of one group of 4- or 8-bit codes of tile t.
template <int kRows, int kTiles, int kBits>
[[gnu::always_inline]] inline void GroupDots(const uint8_t* codes, int64_t tile_bytes,
                                             const int8_t* q, int64_t cols,
                                             __m512i (&dots)[kRows][kTiles]) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int line = 0; line < kBits; ++line) {
    for (int t = 0; t < kTiles; ++t) {
      const __m512i w = _mm512_load_si512(codes + t * tile_bytes + 64 * line);
      if constexpr (kBits == 4) {
        const __m512i low = _mm512_and_si512(w, mask);
        for (int m = 0; m < kRows; ++m) DotBroadcast(dots[m][t], low, q + m * cols + 8 * line);
        const __m512i high = _mm512_and_si512(_mm512_srli_epi16(w, 4), mask);
        for (int m = 0; m < kRows; ++m) DotBroadcast(dots[m][t], high, q + m * cols + 8 * line + 4);
      } else {
        for (int m = 0; m < kRows; ++m) DotBroadcast(dots[m][t], w, q + m * cols + 4 * line);
      }
    }
  }
}

// kRows rows times kTiles tiles: two accumulators per (row, tile), at most 24 of 32 registers.
template <int kRows, int kTiles, int kBits, bool kMinimum>
void IntBlock(const IntLinearArgs& a, int row, int tile) {
  constexpr int kGroupBytes = kTile * kGroup * kBits / 8;
  constexpr int kZeroPoint = kMinimum ? 0 : 1 << (kBits - 1);
  const int64_t groups = a.cols / kGroup;
  __m512 y[kRows][kTiles];
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) y[m][t] = _mm512_setzero_ps();
  }
  for (int64_t g = 0; g < groups; ++g) {
    __m512i dots[kRows][kTiles];
    for (int m = 0; m < kRows; ++m) {
      const __m512i start = _mm512_set1_epi32(-kZeroPoint * a.x.sum[(row + m) * groups + g]);
      for (int t = 0; t < kTiles; ++t) dots[m][t] = start;
    }
    const uint8_t* codes = a.codes + (tile * groups + g) * kGroupBytes;
    GroupDots<kRows, kTiles, kBits>(codes, groups * kGroupBytes, a.x.q + row * a.cols + g * kGroup,
                                    a.cols, dots);
    for (int t = 0; t < kTiles; ++t) {
      const int64_t w = ((tile + t) * groups + g) * kTile;
      const __m512 scale = LoadHalf16(a.scales + w);
      for (int m = 0; m < kRows; ++m) {
        const __m512 product =
            _mm512_mul_ps(scale, _mm512_set1_ps(a.x.scale[(row + m) * groups + g]));
        y[m][t] = _mm512_fmadd_ps(ToFloat(dots[m][t]), product, y[m][t]);
      }
      if constexpr (kMinimum) {
        const __m512 minimum = LoadHalf16(a.minima + w);
        for (int m = 0; m < kRows; ++m) {
          const __m512 sum = _mm512_set1_ps(a.x.scaled_sum[(row + m) * groups + g]);
          y[m][t] = _mm512_fmadd_ps(minimum, sum, y[m][t]);
        }
      }
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) {
      const int first = (tile + t) * kTile;
      StoreTile(a.y.out + (row + m) * a.y.stride + first, y[m][t], a.y.num_outputs - first);
    }
  }
}

template <int kTiles, int kBits, bool kMinimum>
void IntTiles(const IntLinearArgs& a, int tile) {
  int row = 0;
  for (; row + 6 <= a.y.num_rows; row += 6) IntBlock<6, kTiles, kBits, kMinimum>(a, row, tile);
  for (; row + 2 <= a.y.num_rows; row += 2) IntBlock<2, kTiles, kBits, kMinimum>(a, row, tile);
  for (; row < a.y.num_rows; ++row) IntBlock<1, kTiles, kBits, kMinimum>(a, row, tile);
}

template <int kBits, bool kMinimum>
void LinearInt(const IntLinearArgs& a) {
  int tile = 0;
  for (; tile + 2 <= a.y.num_tiles; tile += 2) IntTiles<2, kBits, kMinimum>(a, tile);
  for (; tile < a.y.num_tiles; ++tile) IntTiles<1, kBits, kMinimum>(a, tile);
}

}  // namespace

extern const LinearKernels kAvx512LinearKernels = {"avx512vnni",        LinearF32,
                                                   LinearInt<4, false>, LinearInt<4, true>,
                                                   LinearInt<8, false>, LinearInt<8, true>};

}  // namespace intactkv
