// The attention table without SIMD: the same formulas, one lane.
#include <cmath>
#include <cstring>

#include "kernels/cpu/attn_kernels.h"
#include "kernels/quant/half.h"

namespace intactkv {
namespace {

struct V {
  static constexpr int kLanes = 1;
  static constexpr const char* kSuffix = "scalar";
  using F = float;
  using I = int32_t;
  using Acc = int32_t;
  struct Codes {
    uint8_t u[4];
  };
  struct Quad {
    int16_t x[4];
  };

  static F Load(const float* p) { return *p; }
  static void Store(float* p, F x) { *p = x; }
  static F Set1(float x) { return x; }
  static float First(F x) { return x; }
  static F Add(F a, F b) { return a + b; }
  static F Sub(F a, F b) { return a - b; }
  static F Mul(F a, F b) { return a * b; }
  static F Div(F a, F b) { return a / b; }
  static F Fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
  static F Max(F a, F b) { return a > b ? a : b; }
  static F Abs(F a) { return __builtin_fabsf(a); }
  // To nearest, ties to even (default rounding mode); NaN and values beyond int32 give no defined
  // number, but no trap either.
  static F Round(F a) { return __builtin_nearbyintf(a); }
  static I CvtI(F a) { return static_cast<I>(__builtin_lrintf(a)); }
  static F CvtF(I a) { return static_cast<F>(a); }
  // 2^n for integral n in [-126, 127]; anything for other n.
  static F Pow2(F n) {
    const uint32_t bits = (static_cast<uint32_t>(CvtI(n)) + 127u) << 23;
    F out;
    std::memcpy(&out, &bits, sizeof(out));
    return out;
  }
  static F SelectBelow(F x, F bound, F below, F otherwise) { return x < bound ? below : otherwise; }
  static F FirstLanes(int count, F a, F b) { return count > 0 ? a : b; }
  static float ReduceMax(F a) { return a; }
  static float ReduceAdd(F a) { return a; }

  static F LoadBytes(const std::byte* p) {
    F out;
    std::memcpy(&out, p, sizeof(out));
    return out;
  }
  static F LoadHalf(const std::byte* p) {
    uint16_t h;
    std::memcpy(&h, p, sizeof(h));
    return HalfToFloat(h);
  }
  static void LoadHalfPairs(const std::byte* p, F& even, F& odd) {
    even = LoadHalf(p);
    odd = LoadHalf(p + 2);
  }
  static void LoadBfloat16Pairs(const std::byte* p, F& even, F& odd) {
    uint16_t pair[2];
    std::memcpy(pair, p, sizeof(pair));
    even = Bfloat16ToFloat(pair[0]);
    odd = Bfloat16ToFloat(pair[1]);
  }

  static Codes LoadCodes(const std::byte* p) {
    Codes out;
    std::memcpy(out.u, p, sizeof(out.u));
    return out;
  }
  static void LoadNibbles(const std::byte* p, Codes& low, Codes& high) {
    for (int j = 0; j < 4; ++j) {
      low.u[j] = static_cast<uint8_t>(p[j] & std::byte{0x0f});
      high.u[j] = static_cast<uint8_t>(p[j] >> 4);
    }
  }
  // A lane of one value: stored as int16.
  static void StoreQuads(std::byte* p, I x) {
    const int16_t narrow = static_cast<int16_t>(x);
    std::memcpy(p, &narrow, sizeof(narrow));
  }
  static Quad LoadQuad(const std::byte* p) {
    Quad out;
    std::memcpy(out.x, p, sizeof(out.x));
    return out;
  }
  static Acc StartAcc(int32_t x) { return x; }
  static void Dot(Acc& acc, Codes u, Quad q) {
    for (int j = 0; j < 4; ++j) acc += q.x[j] * u.u[j];
  }
  static I Sum(Acc acc) { return acc; }
};

#include "kernels/cpu/attn_kernels.inc"

}  // namespace

const AttnKernels& ScalarAttnKernels() { return kTable; }

}  // namespace intactkv
