// Compiled with -mavx2 -mfma -mf16c. Includes nothing that has inline functions of its own: they
// would be compiled with these flags under a shared name.
#include <immintrin.h>

#include <utility>

#include "kernels/cpu/linear_args.inc"
#include "kernels/cpu/linear_kernels.h"

namespace intactkv {
namespace {

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

// Codes of columns 4 * kHalf .. 4 * kHalf + 3 of one strip, rows 0..7 and 8..15, [row][4]; 4 to 6
// bits.
template <int kBits, int kHalf>
[[gnu::always_inline]] inline __m256i ReadCodes(const uint8_t* rows) {
  const auto line = [rows](int index) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(rows + index * 64));
  };
  const __m256i pairs = line(kHalf / 2);
  const __m256i low =
      _mm256_and_si256(kHalf % 2 == 0 ? pairs : _mm256_srli_epi16(pairs, 4), _mm256_set1_epi8(15));
  if constexpr (kBits == 4) {
    return low;
  } else {
    constexpr int kMore = kBits - 4;
    constexpr int kShift = kHalf * kMore % 8;  // of the further bits, which belong at bit 4
    constexpr char kMask = kMore == 1 ? 0x10 : 0x30;
    const __m256i plane = line(4 + kHalf * kMore / 8);
    const __m256i high = kShift < 4 ? _mm256_slli_epi16(plane, kShift < 4 ? 4 - kShift : 0)
                                    : _mm256_srli_epi16(plane, kShift < 4 ? 0 : kShift - 4);
    return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(kMask)));
  }
}

// sums[m][h] += products of columns [4 * kHalf, 4 * kEnd) of rows 8h.., in pairs.
template <int kRows, int kBits, int kHalf, int kEnd>
[[gnu::always_inline]] inline void AddPairs(const uint8_t* strip, const int8_t* q, int64_t cols,
                                            __m256i (&sums)[kRows][2]) {
  const __m256i u0 = ReadCodes<kBits, kHalf>(strip);
  const __m256i u1 = ReadCodes<kBits, kHalf>(strip + 32);
  for (int m = 0; m < kRows; ++m) {
    const __m256i x = Broadcast4(q + m * cols + 4 * kHalf);
    Add16(sums[m][0], _mm256_maddubs_epi16(u0, x));
    Add16(sums[m][1], _mm256_maddubs_epi16(u1, x));
  }
  if constexpr (kHalf + 1 < kEnd) AddPairs<kRows, kBits, kHalf + 1, kEnd>(strip, q, cols, sums);
}

// dots[m][h] += the 8 exact sums of columns [4 * kHalf, 4 * kEnd) of rows 8h.. of one strip. As
// many products of at most 2 * (2^bits - 1) * 127 as stay within int16 are added there: 8, 4 or 2.
template <int kRows, int kBits, int kHalf, int kEnd>
[[gnu::always_inline]] inline void AddDots(const uint8_t* strip, const int8_t* q, int64_t cols,
                                           __m256i (&dots)[kRows][2]) {
  constexpr int kRun = kEnd - kHalf < (128 >> kBits) ? kEnd - kHalf : 128 >> kBits;
  __m256i sums[kRows][2];
  for (int m = 0; m < kRows; ++m) sums[m][0] = sums[m][1] = _mm256_setzero_si256();
  AddPairs<kRows, kBits, kHalf, kHalf + kRun>(strip, q, cols, sums);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int m = 0; m < kRows; ++m) {
    for (int h = 0; h < 2; ++h) Add32(dots[m][h], _mm256_madd_epi16(sums[m][h], ones));
  }
  if constexpr (kHalf + kRun < kEnd) {
    AddDots<kRows, kBits, kHalf + kRun, kEnd>(strip, q, cols, dots);
  }
}

// The same for 8-bit codes, as sums of (u - 128) * q: |u - 128| * q with the sign moved to q, whose
// pair sums of at most 2 * 128 * 127 fit int16 (u * q would not).
template <int kRows>
[[gnu::always_inline]] inline void AddDots8(const uint8_t* strip, const int8_t* q, int64_t cols,
                                            __m256i (&dots)[kRows][2]) {
  const __m256i flip = _mm256_set1_epi8(-128);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int line = 0; line < 8; ++line) {
    for (int h = 0; h < 2; ++h) {
      const __m256i w = _mm256_xor_si256(
          _mm256_load_si256(reinterpret_cast<const __m256i*>(strip + 64 * line + 32 * h)), flip);
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

// The fp16 parameters of outputs 8h.. of a tile, times the factors in two-level formats.
template <CodeFormat kFormat>
[[gnu::always_inline]] inline __m256 ReadParams(const uint16_t* params, const int8_t* factors,
                                                uint64_t column, int h) {
  constexpr auto kSpan = static_cast<uint64_t>(kFormat.span());  // unsigned: shifts divide
  constexpr auto kGroupColumns = static_cast<uint64_t>(kFormat.group);
  const __m256 value = LoadHalf8(params + column / kSpan * kTile + 8 * h);
  if constexpr (kFormat.two_level) {
    const auto* bytes =
        reinterpret_cast<const __m128i*>(factors + column / kGroupColumns * kTile + 8 * h);
    return _mm256_mul_ps(value, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(bytes))));
  } else {
    return value;
  }
}

// Adds group kFirst / group of strip `strip` to y.
template <int kRows, CodeFormat kFormat, int kFirst>
[[gnu::always_inline]] inline void AddGroup(const IntLinearArgs& a, int64_t strip,
                                            __m256 (&y)[kRows][2]) {
  // What the dots still have to be moved by, in units of the group's sum of q.
  constexpr int kShift = kFormat.bits == 8 ? 128 - kFormat.zero_point() : -kFormat.zero_point();
  const int64_t strips = a.cols / kGroup;
  const auto sum = [&](int m) {
    const int64_t at = strip + m * strips;
    if constexpr (kFormat.group == kGroup) return a.x.sum[at];
    return kFirst == 0 ? a.x.first_sum[at] : a.x.sum[at] - a.x.first_sum[at];
  };
  __m256i dots[kRows][2];
  for (int m = 0; m < kRows; ++m) dots[m][0] = dots[m][1] = _mm256_setzero_si256();
  const uint8_t* codes = a.weights.codes + strip * (64 * kFormat.bits);
  const int8_t* q = a.x.q + strip * kGroup;
  if constexpr (kFormat.bits == 8) {
    AddDots8<kRows>(codes, q, a.cols, dots);
  } else {
    AddDots<kRows, kFormat.bits, kFirst / 4, (kFirst + kFormat.group) / 4>(codes, q, a.cols, dots);
  }
  const auto column = static_cast<uint64_t>(strip * kGroup + kFirst);
  for (int h = 0; h < 2; ++h) {
    const __m256 scale = ReadParams<kFormat>(a.weights.scales, a.weights.scale_factors, column, h);
    for (int m = 0; m < kRows; ++m) {
      __m256i dot = dots[m][h];
      if constexpr (kShift != 0) dot = _mm256_add_epi32(dot, _mm256_set1_epi32(kShift * sum(m)));
      const __m256 product =
          _mm256_mul_ps(scale, _mm256_broadcast_ss(a.x.scale + strip + m * strips));
      y[m][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), product, y[m][h]);
    }
    if constexpr (kFormat.has_minimum) {
      const __m256 minimum =
          ReadParams<kFormat>(a.weights.minima, a.weights.minimum_factors, column, h);
      for (int m = 0; m < kRows; ++m) {
        const int64_t at = strip + m * strips;
        const float scaled = kFormat.group == kGroup ? a.x.scaled_sum[at]
                                                     : a.x.scale[at] * static_cast<float>(sum(m));
        y[m][h] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(scaled), y[m][h]);
      }
    }
  }
}

template <int kRows, CodeFormat kFormat>
void IntBlock(const IntLinearArgs& a, int row, int tile) {
  __m256 y[kRows][2];
  for (int m = 0; m < kRows; ++m) y[m][0] = y[m][1] = _mm256_setzero_ps();
  const IntLinearArgs block = StartAt<kFormat>(a, row, tile);
  for (int64_t strip = 0; strip < a.cols / kGroup; ++strip) {
    AddGroup<kRows, kFormat, 0>(block, strip, y);
    if constexpr (kFormat.group < kGroup) {
      AddGroup<kRows, kFormat, kFormat.group>(block, strip, y);
    }
  }
  const int first = tile * kTile;
  for (int m = 0; m < kRows; ++m) {
    StoreTile(a.y.out + (row + m) * a.y.stride + first, y[m][0], y[m][1], a.y.num_outputs - first);
  }
}

template <CodeFormat kFormat>
void LinearInt(const IntLinearArgs& a) {
  for (int tile = 0; tile < a.y.num_tiles; ++tile) {
    int row = 0;
    for (; row + 4 <= a.y.num_rows; row += 4) IntBlock<4, kFormat>(a, row, tile);
    for (; row + 2 <= a.y.num_rows; row += 2) IntBlock<2, kFormat>(a, row, tile);
    for (; row < a.y.num_rows; ++row) IntBlock<1, kFormat>(a, row, tile);
  }
}

template <size_t... kIndex>
constexpr LinearKernels MakeKernels(std::index_sequence<kIndex...>) noexcept {
  return {"avx2", LinearF32, {LinearInt<kCodeFormats[kIndex]>...}};
}

}  // namespace

extern constinit const LinearKernels kAvx2LinearKernels =
    MakeKernels(std::make_index_sequence<kNumCodeFormats>());

}  // namespace intactkv
