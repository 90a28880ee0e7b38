#include "kernels/quant/weight_format.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "kernels/quant/half.h"
#include "kernels/quant/k_quants.h"

namespace intactkv {
namespace {

constexpr size_t kLine = 64;

size_t AlignUp(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

template <typename T>
T ReadAs(const std::byte* at) {
  T out;
  std::memcpy(&out, at, sizeof(out));
  return out;
}

// Nibble i: low = value i, high = value i + 16; bit i of `high` above it.
void ReadCodes(const std::byte* nibbles, uint32_t high, uint8_t* codes) {
  for (int i = 0; i < kWeightGroup / 2; ++i) {
    const auto byte = static_cast<uint8_t>(nibbles[i]);
    codes[i] = static_cast<uint8_t>((byte & 15u) | (high >> i & 1u) << 4);
    codes[i + 16] = static_cast<uint8_t>((byte >> 4) | (high >> (i + 16) & 1u) << 4);
  }
}

void ReadKQuantGroups(BlockType type, const std::byte* block, CodeGroup* out) {
  const KQuantBlock b = ReadKQuant(type, block);
  const CodeFormat format = StoredCodeFormat(type);
  for (int g = 0; g < kSuperBlock / format.group; ++g) {
    out[g].scale = b.d;
    out[g].scale_factor = b.scales[g];
    if (format.has_minimum) {
      out[g].minimum = b.dmin ^ 0x8000u;
      out[g].minimum_factor = b.minima[g];
    }
    std::memcpy(out[g].codes, b.codes + g * format.group, static_cast<size_t>(format.group));
  }
}

// Where four neighbouring columns of a row lie in their strip: byte j of each word is column
// 4 * half + j.
struct CodeWords {
  uint8_t* low;  // nibbles, or whole codes of 8 bits
  int low_shift;
  uint8_t* high = nullptr;  // the further bits, if the format has any
  int high_shift = 0;
};

CodeWords FindWords(const TileWeights& tiles, int64_t row, int64_t column) {
  const int bits = tiles.layout.format.bits;
  const auto half = static_cast<size_t>(column % kWeightGroup) / 4;
  const int64_t strip = row / kTileRows * tiles.layout.num_strips() + column / kWeightGroup;
  uint8_t* at = tiles.codes + static_cast<size_t>(strip) * tiles.layout.strip_bytes() +
                static_cast<size_t>(row % kTileRows * 4);
  if (bits == 8) return {at + half * kLine, 0};
  CodeWords out{at + half / 2 * kLine, static_cast<int>(half % 2) * 4};
  if (bits > 4) {
    const size_t place = half * static_cast<size_t>(bits - 4);
    out.high = at + (4 + place / 8) * kLine;
    out.high_shift = static_cast<int>(place % 8);
  }
  return out;
}

// The word at `at` with `mask` << shift of each byte replaced by the bytes of `value`.
void PutBits(uint8_t* at, int shift, uint32_t mask, uint32_t value) {
  uint32_t word;
  std::memcpy(&word, at, sizeof(word));
  word = (word & ~(mask << shift)) | (value & mask) << shift;
  std::memcpy(at, &word, sizeof(word));
}

uint32_t GetBits(const uint8_t* at, int shift, uint32_t mask) {
  uint32_t word;
  std::memcpy(&word, at, sizeof(word));
  return word >> shift & mask;
}

uint32_t EachByte(uint32_t byte) { return byte * 0x01010101u; }

uint32_t LowMask(CodeFormat format) { return EachByte(format.bits == 8 ? 255u : 15u); }

uint32_t HighMask(CodeFormat format) { return EachByte((1u << (format.bits - 4)) - 1u); }

size_t ParamIndex(const TileLayout& layout, int64_t row, int64_t group) {
  const int64_t span = group * layout.format.group / layout.format.span();
  return static_cast<size_t>((row / kTileRows * layout.num_spans() + span) * kTileRows +
                             row % kTileRows);
}

size_t FactorIndex(const TileLayout& layout, int64_t row, int64_t group) {
  return static_cast<size_t>((row / kTileRows * layout.num_groups() + group) * kTileRows +
                             row % kTileRows);
}

}  // namespace

int CodeFormatIndex(CodeFormat format) {
  const auto* found = std::find(std::begin(kCodeFormats), std::end(kCodeFormats), format);
  CHECK(found != std::end(kCodeFormats)) << format.bits << " bits";
  return static_cast<int>(found - std::begin(kCodeFormats));
}

CodeFormat StoredCodeFormat(BlockType type) {
  switch (type) {
    case BlockType::kQ8_0:
      return {.bits = 8, .has_minimum = false};
    case BlockType::kQ4_0:
    case BlockType::kQ4_1:
      return {.bits = 4, .has_minimum = type == BlockType::kQ4_1};
    case BlockType::kQ5_0:
    case BlockType::kQ5_1:
      return {.bits = 5, .has_minimum = type == BlockType::kQ5_1};
    case BlockType::kQ2_K:
    case BlockType::kQ3_K:
      return {.bits = 4, .has_minimum = type == BlockType::kQ2_K, .group = 16, .two_level = true};
    case BlockType::kQ4_K:
    case BlockType::kQ5_K:
      return {.bits = type == BlockType::kQ4_K ? 4 : 5, .has_minimum = true, .two_level = true};
    case BlockType::kQ6_K:
      return {.bits = 6, .has_minimum = false, .group = 16, .two_level = true};
    default:
      CHECK(false) << "not a quantized type";
  }
}

void ReadBlock(BlockType type, const std::byte* block, CodeGroup* out) {
  CHECK(IsQuantized(type));
  if (IsKQuant(type)) return ReadKQuantGroups(type, block, out);
  *out = CodeGroup();
  out->scale = ReadAs<uint16_t>(block);
  if (type == BlockType::kQ8_0) {
    for (int i = 0; i < kWeightGroup; ++i) {
      out->codes[i] = static_cast<uint8_t>(static_cast<uint8_t>(block[2 + i]) ^ 0x80u);
    }
    return;
  }
  const CodeFormat format = StoredCodeFormat(type);
  const std::byte* at = block + 2;
  if (format.has_minimum) {
    out->minimum = ReadAs<uint16_t>(at);
    at += 2;
  }
  uint32_t high = 0;
  if (format.bits == 5) {
    high = ReadAs<uint32_t>(at);
    at += 4;
  }
  ReadCodes(at, high, out->codes);
}

bool QuantizeGroup(const float* x, int bits, CodeGroup* out) {
  float low = x[0];
  float high = x[0];
  for (int i = 0; i < kWeightGroup; ++i) {
    if (!std::isfinite(x[i])) return false;
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const auto top = static_cast<float>((1 << bits) - 1);
  CodeGroup group;
  group.minimum = FloatToHalf(low);
  group.scale = FloatToHalf((high - low) / top);
  const float minimum = HalfToFloat(group.minimum);
  const float scale = HalfToFloat(group.scale);
  if (!std::isfinite(minimum) || !std::isfinite(scale)) return false;
  for (int i = 0; i < kWeightGroup; ++i) {
    const float code = scale == 0.0f ? 0.0f : std::nearbyint((x[i] - minimum) / scale);
    group.codes[i] = static_cast<uint8_t>(std::clamp(code, 0.0f, top));
  }
  *out = group;
  return true;
}

void DequantizeGroup(CodeFormat format, const CodeGroup& group, float* out) {
  const float scale = HalfToFloat(group.scale) * static_cast<float>(group.scale_factor);
  const float minimum = HalfToFloat(group.minimum) * static_cast<float>(group.minimum_factor);
  for (int i = 0; i < format.group; ++i) {
    const float product = scale * static_cast<float>(group.codes[i] - format.zero_point());
    out[i] = format.has_minimum ? product + minimum : product;
  }
}

size_t TileLayout::bytes() const {
  const size_t arrays = format.has_minimum ? 2 : 1;
  return AlignUp(code_bytes()) +
         arrays * (AlignUp(param_count() * sizeof(uint16_t)) + AlignUp(factor_count()));
}

TileWeights PlaceTiles(const TileLayout& layout, std::byte* memory) {
  TileWeights out{.layout = layout};
  const auto take = [&memory](size_t bytes) {
    std::byte* at = memory;
    memory += AlignUp(bytes);
    return at;
  };
  const auto halves = [&] {
    return reinterpret_cast<uint16_t*>(take(layout.param_count() * sizeof(uint16_t)));
  };
  const auto factors = [&] { return reinterpret_cast<int8_t*>(take(layout.factor_count())); };
  out.codes = reinterpret_cast<uint8_t*>(take(layout.code_bytes()));
  out.scales = halves();
  if (layout.format.has_minimum) out.minima = halves();
  if (!layout.format.two_level) return out;
  out.scale_factors = factors();
  if (layout.format.has_minimum) out.minimum_factors = factors();
  return out;
}

TileView ViewTiles(const TileWeights& tiles, int64_t first_tile) {
  const TileLayout& layout = tiles.layout;
  const int64_t params = first_tile * layout.num_spans() * kTileRows;
  const int64_t factors = first_tile * layout.num_groups() * kTileRows;
  const auto from = [](const auto* array, int64_t at) {
    return array == nullptr ? nullptr : array + at;
  };
  return {.codes = tiles.codes +
                   static_cast<size_t>(first_tile * layout.num_strips()) * layout.strip_bytes(),
          .scales = tiles.scales + params,
          .minima = from(tiles.minima, params),
          .scale_factors = from(tiles.scale_factors, factors),
          .minimum_factors = from(tiles.minimum_factors, factors)};
}

void StoreGroup(const TileWeights& tiles, int64_t row, int64_t group, const CodeGroup& value) {
  const TileLayout& layout = tiles.layout;
  const CodeFormat format = layout.format;
  const size_t param = ParamIndex(layout, row, group);
  tiles.scales[param] = value.scale;
  if (format.has_minimum) tiles.minima[param] = value.minimum;
  if (format.two_level) {
    const size_t factor = FactorIndex(layout, row, group);
    tiles.scale_factors[factor] = value.scale_factor;
    if (format.has_minimum) tiles.minimum_factors[factor] = value.minimum_factor;
  }
  for (int i = 0; i < format.group; i += 4) {
    uint32_t word;
    std::memcpy(&word, value.codes + i, sizeof(word));
    const CodeWords words = FindWords(tiles, row, group * format.group + i);
    PutBits(words.low, words.low_shift, LowMask(format), word);
    if (words.high != nullptr) {
      PutBits(words.high, words.high_shift, HighMask(format), word >> 4);
    }
  }
}

CodeGroup LoadGroup(const TileWeights& tiles, int64_t row, int64_t group) {
  const TileLayout& layout = tiles.layout;
  const CodeFormat format = layout.format;
  const size_t param = ParamIndex(layout, row, group);
  CodeGroup out;
  out.scale = tiles.scales[param];
  if (format.has_minimum) out.minimum = tiles.minima[param];
  if (format.two_level) {
    const size_t factor = FactorIndex(layout, row, group);
    out.scale_factor = tiles.scale_factors[factor];
    if (format.has_minimum) out.minimum_factor = tiles.minimum_factors[factor];
  }
  for (int i = 0; i < format.group; i += 4) {
    const CodeWords words = FindWords(tiles, row, group * format.group + i);
    uint32_t word = GetBits(words.low, words.low_shift, LowMask(format));
    if (words.high != nullptr) {
      word |= GetBits(words.high, words.high_shift, HighMask(format)) << 4;
    }
    std::memcpy(out.codes + i, &word, sizeof(word));
  }
  return out;
}

}  // namespace intactkv
