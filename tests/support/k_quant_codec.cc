#include "tests/support/k_quant_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/half_float.h"

namespace intactkv::test {
namespace {

struct Bits {
  int byte = 0;
  int shift = 0;
  int width = 0;  // 0: no bits
};

// An unsigned number in up to two places.
struct Number {
  Bits low, high = {};
};

// What a type's blocks look like.
struct Layout {
  int bytes;
  int sub_block;         // values that share a scale
  int code_top;          // largest code
  int code_zero;         // the code of 0, in types without minima
  int scale_top;         // largest scale
  int scale_zero;        // what a stored scale is above its value
  int d, dmin;           // bytes; dmin < 0: no minima
  Number (*code)(int);   // of value i
  Number (*scale)(int);  // of sub-block j
  Number (*minimum)(int) = nullptr;
};

Number Scale4(int j) { return j < 4 ? Number{{4 + j, 0, 6}} : Number{{8 + j, 0, 4}, {j, 6, 2}}; }
Number Minimum4(int j) {
  return j < 4 ? Number{{8 + j, 0, 6}} : Number{{8 + j, 4, 4}, {4 + j, 6, 2}};
}
int TwoBits(int i) { return i % 128 / 32 * 2; }  // where two bits of value i lie in their byte

Number Code2(int i) { return {{16 + i / 128 * 32 + i % 32, TwoBits(i), 2}}; }
Number Code3(int i) { return {{32 + i / 128 * 32 + i % 32, TwoBits(i), 2}, {i % 32, i / 32, 1}}; }
Number Code4(int i) { return {{16 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4}}; }
Number Code5(int i) {
  return {{48 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4}, {16 + i % 32, i / 32, 1}};
}
Number Code6(int i) {
  return {{i / 128 * 64 + i % 64, i % 128 / 64 * 4, 4},
          {128 + i / 128 * 32 + i % 32, TwoBits(i), 2}};
}
Number Scale2(int j) { return {{j, 0, 4}}; }
Number Minimum2(int j) { return {{j, 4, 4}}; }
Number Scale3(int j) { return {{96 + j % 8, j / 8 * 4, 4}, {104 + j % 4, j / 4 * 2, 2}}; }
Number Scale6(int j) { return {{192 + j, 0, 8}}; }

constexpr Layout kQ2 = {.bytes = 84,
                        .sub_block = 16,
                        .code_top = 3,
                        .code_zero = 0,
                        .scale_top = 15,
                        .scale_zero = 0,
                        .d = 80,
                        .dmin = 82,
                        .code = Code2,
                        .scale = Scale2,
                        .minimum = Minimum2};
constexpr Layout kQ3 = {.bytes = 110,
                        .sub_block = 16,
                        .code_top = 7,
                        .code_zero = 4,
                        .scale_top = 31,
                        .scale_zero = 32,
                        .d = 108,
                        .dmin = -1,
                        .code = Code3,
                        .scale = Scale3};
constexpr Layout kQ4 = {.bytes = 144,
                        .sub_block = 32,
                        .code_top = 15,
                        .code_zero = 0,
                        .scale_top = 63,
                        .scale_zero = 0,
                        .d = 0,
                        .dmin = 2,
                        .code = Code4,
                        .scale = Scale4,
                        .minimum = Minimum4};
constexpr Layout kQ5 = {.bytes = 176,
                        .sub_block = 32,
                        .code_top = 31,
                        .code_zero = 0,
                        .scale_top = 63,
                        .scale_zero = 0,
                        .d = 0,
                        .dmin = 2,
                        .code = Code5,
                        .scale = Scale4,
                        .minimum = Minimum4};
constexpr Layout kQ6 = {.bytes = 210,
                        .sub_block = 16,
                        .code_top = 63,
                        .code_zero = 32,
                        .scale_top = 127,
                        .scale_zero = 0,
                        .d = 208,
                        .dmin = -1,
                        .code = Code6,
                        .scale = Scale6};

const Layout& LayoutOf(TensorType type) {
  switch (type) {
    case TensorType::kQ2_K:
      return kQ2;
    case TensorType::kQ3_K:
      return kQ3;
    case TensorType::kQ4_K:
      return kQ4;
    case TensorType::kQ5_K:
      return kQ5;
    case TensorType::kQ6_K:
      return kQ6;
    default:
      CHECK(false) << "not a K-quant";
  }
}

unsigned GetBits(std::span<const std::byte> block, Bits at) {
  const auto byte = std::to_integer<unsigned>(block[static_cast<size_t>(at.byte)]);
  return byte >> at.shift & ((1u << at.width) - 1u);
}

unsigned Get(std::span<const std::byte> block, Number at) {
  return GetBits(block, at.low) | GetBits(block, at.high) << at.low.width;
}

// The bits are still zero.
void PutBits(Bits at, unsigned value, std::span<std::byte> block) {
  const unsigned kept = value & ((1u << at.width) - 1u);
  block[static_cast<size_t>(at.byte)] |= static_cast<std::byte>(kept << at.shift);
}

void Put(Number at, int value, std::span<std::byte> block) {
  PutBits(at.low, static_cast<unsigned>(value), block);
  PutBits(at.high, static_cast<unsigned>(value) >> at.low.width, block);
}

float GetHalf(std::span<const std::byte> block, int at) {
  uint16_t bits = 0;
  std::memcpy(&bits, block.data() + at, sizeof(bits));
  return HalfToFloat(bits);
}

// The largest fp16 number not above `value`, which is not negative: its bits.
uint16_t HalfBitsBelow(float value) {
  uint16_t bits = 0;  // positive fp16 numbers are in the order of their bits
  for (uint16_t step = 0x4000; step > 0; step = static_cast<uint16_t>(step >> 1)) {
    const auto next = static_cast<uint16_t>(bits + step);
    if (next <= 0x7bff && HalfToFloat(next) <= value) bits = next;
  }
  return bits;
}

float HalfBelow(float value) { return HalfToFloat(HalfBitsBelow(value)); }

// `value`: an fp16 number, not negative.
void PutHalf(int at, float value, std::span<std::byte> block) {
  const uint16_t bits = HalfBitsBelow(value);
  CHECK(HalfToFloat(bits) == value);
  std::memcpy(block.data() + at, &bits, sizeof(bits));
}

int Round(float x, int low, int high) {
  return std::isfinite(x) ? std::clamp(static_cast<int>(std::nearbyint(x)), low, high) : 0;
}

// The wanted scale and minimum of one sub-block.
struct Range {
  float scale = 0;
  float minimum = 0;  // subtracted; not negative
};

Range RangeOf(const Layout& layout, std::span<const float> x) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  if (layout.dmin < 0) {
    const float extreme = -*low > *high ? *low : *high;  // gets code 0
    return {.scale = extreme / static_cast<float>(-layout.code_zero)};
  }
  const float minimum = std::max(0.0f, -*low);
  return {.scale = std::max(0.0f, *high + minimum) / static_cast<float>(layout.code_top),
          .minimum = minimum};
}

}  // namespace

std::vector<std::byte> PackKQuant(TensorType type, const KQuantBlock& block) {
  const Layout& layout = LayoutOf(type);
  const auto sub = static_cast<size_t>(layout.sub_block);
  CHECK(block.codes.size() == 256 && block.scales.size() == 256 / sub);
  std::vector<std::byte> out(static_cast<size_t>(layout.bytes));
  PutHalf(layout.d, block.d, out);
  for (size_t j = 0; j < block.scales.size(); ++j) {
    Put(layout.scale(static_cast<int>(j)), block.scales[j] + layout.scale_zero, out);
  }
  if (layout.dmin >= 0) {
    CHECK_EQ(block.minima.size(), block.scales.size());
    PutHalf(layout.dmin, block.dmin, out);
    for (size_t j = 0; j < block.minima.size(); ++j) {
      Put(layout.minimum(static_cast<int>(j)), block.minima[j], out);
    }
  }
  for (size_t i = 0; i < 256; ++i) {
    const int code = block.codes[i] + layout.code_zero;
    CHECK(code >= 0 && code <= layout.code_top);
    Put(layout.code(static_cast<int>(i)), code, out);
  }
  return out;
}

std::vector<std::byte> EncodeKQuant(TensorType type, std::span<const float> values) {
  CHECK_EQ(values.size(), 256u);
  const Layout& layout = LayoutOf(type);
  const auto sub = static_cast<size_t>(layout.sub_block);
  std::vector<Range> ranges;
  Range most;
  for (size_t at = 0; at < 256; at += sub) {
    ranges.push_back(RangeOf(layout, values.subspan(at, sub)));
    most.scale = std::max(most.scale, std::fabs(ranges.back().scale));
    most.minimum = std::max(most.minimum, ranges.back().minimum);
  }
  KQuantBlock block;
  block.d = HalfBelow(most.scale / static_cast<float>(layout.scale_top));
  if (layout.dmin >= 0) block.dmin = HalfBelow(most.minimum / static_cast<float>(layout.scale_top));
  for (size_t j = 0; j < ranges.size(); ++j) {
    block.scales.push_back(Round(ranges[j].scale / block.d, -layout.scale_top, layout.scale_top));
    const int minimum =
        layout.dmin >= 0 ? Round(ranges[j].minimum / block.dmin, 0, layout.scale_top) : 0;
    block.minima.push_back(minimum);
    for (size_t i = j * sub; i < (j + 1) * sub; ++i) {
      const float steps = (values[i] + block.dmin * static_cast<float>(minimum)) /
                          (block.d * static_cast<float>(block.scales[j]));
      const int code = Round(steps + static_cast<float>(layout.code_zero), 0, layout.code_top);
      block.codes.push_back(code - layout.code_zero);
    }
  }
  return PackKQuant(type, block);
}

void DecodeKQuant(TensorType type, std::span<const std::byte> block, std::vector<float>* out) {
  const Layout& layout = LayoutOf(type);
  const float d = GetHalf(block, layout.d);
  for (int i = 0; i < 256; ++i) {
    const int j = i / layout.sub_block;
    int scale = static_cast<int>(Get(block, layout.scale(j))) - layout.scale_zero;
    if (type == TensorType::kQ6_K && scale > 127) scale -= 256;
    const int code = static_cast<int>(Get(block, layout.code(i))) - layout.code_zero;
    float value = d * static_cast<float>(scale) * static_cast<float>(code);
    if (layout.dmin >= 0) {
      const auto minimum = static_cast<float>(Get(block, layout.minimum(j)));
      value -= GetHalf(block, layout.dmin) * minimum;
    }
    out->push_back(value);
  }
}

}  // namespace intactkv::test
