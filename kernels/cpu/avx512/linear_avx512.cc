// Compiled with AVX-512 flags. Includes nothing that has inline functions of its own: they would be
// compiled with these flags under a shared name.
#include <utility>

#include "kernels/cpu/avx512/intrinsics.h"
#include "kernels/cpu/linear_args.inc"
#include "kernels/cpu/linear_kernels.h"

namespace intactkv {
namespace {

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

// Codes of columns 4 * kHalf .. 4 * kHalf + 3 of one strip, [row][4].
template <int kBits, int kHalf>
[[gnu::always_inline]] inline __m512i ReadCodes(const uint8_t* strip) {
  if constexpr (kBits == 8) {
    return _mm512_load_si512(strip + 64 * kHalf);
  } else {
    const __m512i pairs = _mm512_load_si512(strip + kHalf / 2 * 64);
    const __m512i low = _mm512_and_si512(kHalf % 2 == 0 ? pairs : _mm512_srli_epi16(pairs, 4),
                                         _mm512_set1_epi8(15));
    if constexpr (kBits == 4) {
      return low;
    } else {
      constexpr int kMore = kBits - 4;
      constexpr unsigned kShift = kHalf * kMore % 8;  // of the further bits, which belong at bit 4
      constexpr char kMask = kMore == 1 ? 0x10 : 0x30;
      const __m512i plane = _mm512_load_si512(strip + (4 + kHalf * kMore / 8) * 64);
      const __m512i high = kShift < 4 ? _mm512_slli_epi16(plane, kShift < 4 ? 4 - kShift : 0)
                                      : _mm512_srli_epi16(plane, kShift < 4 ? 0 : kShift - 4);
      return _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi8(kMask)));
    }
  }
}

// dots[m][t] += the 16 exact sums of columns [4 * kHalf, 4 * kEnd) of one strip of tile t.
template <int kRows, int kTiles, int kBits, int kHalf, int kEnd>
[[gnu::always_inline]] inline void AddDots(const uint8_t* strip, int64_t tile_bytes,
                                           const int8_t* q, int64_t cols,
                                           __m512i (&dots)[kRows][kTiles]) {
  for (int t = 0; t < kTiles; ++t) {
    const __m512i even = ReadCodes<kBits, kHalf>(strip + t * tile_bytes);
    for (int m = 0; m < kRows; ++m) DotBroadcast(dots[m][t], even, q + m * cols + 4 * kHalf);
    const __m512i odd = ReadCodes<kBits, kHalf + 1>(strip + t * tile_bytes);
    for (int m = 0; m < kRows; ++m) DotBroadcast(dots[m][t], odd, q + m * cols + 4 * kHalf + 4);
  }
  if constexpr (kHalf + 2 < kEnd) {
    AddDots<kRows, kTiles, kBits, kHalf + 2, kEnd>(strip, tile_bytes, q, cols, dots);
  }
}

// The fp16 parameters of the 16 outputs of a tile, times the factors in two-level formats.
template <CodeFormat kFormat>
[[gnu::always_inline]] inline __m512 ReadParams(const uint16_t* params, const int8_t* factors,
                                                uint64_t column) {
  constexpr auto kSpan = static_cast<uint64_t>(kFormat.span());  // unsigned: shifts divide
  constexpr auto kGroupColumns = static_cast<uint64_t>(kFormat.group);
  const __m512 value = LoadHalf16(params + column / kSpan * kTile);
  if constexpr (kFormat.two_level) {
    return _mm512_mul_ps(value, ToFloat(LoadBytes16(factors + column / kGroupColumns * kTile)));
  } else {
    return value;
  }
}

// Adds group kFirst / group of strip `strip` to y. Two accumulators per (row, tile), at most 24 of
// 32 registers.
template <int kRows, int kTiles, CodeFormat kFormat, int kFirst>
[[gnu::always_inline]] inline void AddGroup(const IntLinearArgs& a, int64_t strip,
                                            __m512 (&y)[kRows][kTiles]) {
  constexpr int kStripBytes = 64 * kFormat.bits;
  constexpr int kZeroPoint = kFormat.zero_point();
  const int64_t strips = a.cols / kGroup;
  const auto sum = [&](int m) {
    const int64_t at = strip + m * strips;
    if constexpr (kFormat.group == kGroup) return a.x.sum[at];
    return kFirst == 0 ? a.x.first_sum[at] : a.x.sum[at] - a.x.first_sum[at];
  };
  __m512i dots[kRows][kTiles];
  for (int m = 0; m < kRows; ++m) {
    const __m512i start =
        kZeroPoint == 0 ? _mm512_setzero_si512() : _mm512_set1_epi32(-kZeroPoint * sum(m));
    for (int t = 0; t < kTiles; ++t) dots[m][t] = start;
  }
  AddDots<kRows, kTiles, kFormat.bits, kFirst / 4, (kFirst + kFormat.group) / 4>(
      a.weights.codes + strip * kStripBytes, strips * kStripBytes, a.x.q + strip * kGroup, a.cols,
      dots);
  for (int t = 0; t < kTiles; ++t) {
    const auto column = static_cast<uint64_t>(t * a.cols + strip * kGroup + kFirst);
    const __m512 scale = ReadParams<kFormat>(a.weights.scales, a.weights.scale_factors, column);
    for (int m = 0; m < kRows; ++m) {
      const __m512 product = _mm512_mul_ps(scale, _mm512_set1_ps(a.x.scale[strip + m * strips]));
      y[m][t] = _mm512_fmadd_ps(ToFloat(dots[m][t]), product, y[m][t]);
    }
    if constexpr (kFormat.has_minimum) {
      const __m512 minimum =
          ReadParams<kFormat>(a.weights.minima, a.weights.minimum_factors, column);
      for (int m = 0; m < kRows; ++m) {
        const int64_t at = strip + m * strips;
        const float scaled = kFormat.group == kGroup ? a.x.scaled_sum[at]
                                                     : a.x.scale[at] * static_cast<float>(sum(m));
        y[m][t] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(scaled), y[m][t]);
      }
    }
  }
}

template <int kRows, int kTiles, CodeFormat kFormat>
void IntBlock(const IntLinearArgs& a, int row, int tile) {
  __m512 y[kRows][kTiles];
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) y[m][t] = _mm512_setzero_ps();
  }
  const IntLinearArgs block = StartAt<kFormat>(a, row, tile);
  for (int64_t strip = 0; strip < a.cols / kGroup; ++strip) {
    AddGroup<kRows, kTiles, kFormat, 0>(block, strip, y);
    if constexpr (kFormat.group < kGroup) {
      AddGroup<kRows, kTiles, kFormat, kFormat.group>(block, strip, y);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int t = 0; t < kTiles; ++t) {
      const int first = (tile + t) * kTile;
      StoreTile(a.y.out + (row + m) * a.y.stride + first, y[m][t], a.y.num_outputs - first);
    }
  }
}

template <int kTiles, CodeFormat kFormat>
void IntTiles(const IntLinearArgs& a, int tile) {
  int row = 0;
  for (; row + 6 <= a.y.num_rows; row += 6) IntBlock<6, kTiles, kFormat>(a, row, tile);
  for (; row + 2 <= a.y.num_rows; row += 2) IntBlock<2, kTiles, kFormat>(a, row, tile);
  for (; row < a.y.num_rows; ++row) IntBlock<1, kTiles, kFormat>(a, row, tile);
}

template <CodeFormat kFormat>
void LinearInt(const IntLinearArgs& a) {
  int tile = 0;
  for (; tile + 2 <= a.y.num_tiles; tile += 2) IntTiles<2, kFormat>(a, tile);
  for (; tile < a.y.num_tiles; ++tile) IntTiles<1, kFormat>(a, tile);
}

template <size_t... kIndex>
constexpr LinearKernels MakeKernels(std::index_sequence<kIndex...>) noexcept {
  return {"avx512vnni", LinearF32, {LinearInt<kCodeFormats[kIndex]>...}};
}

}  // namespace

extern constinit const LinearKernels kAvx512LinearKernels =
    MakeKernels(std::make_index_sequence<kNumCodeFormats>());

}  // namespace intactkv
