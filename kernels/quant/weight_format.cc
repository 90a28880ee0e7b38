#include "kernels/quant/weight_format.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "kernels/quant/half.h"

namespace intactkv {
namespace {

uint16_t ReadU16(const std::byte* at) {
  uint16_t out;
  std::memcpy(&out, at, sizeof(out));
  return out;
}

size_t BlockBytes(BlockType type) {
  switch (type) {
    case BlockType::kF32:
      return 4 * kWeightGroup;
    case BlockType::kF16:
    case BlockType::kBF16:
      return 2 * kWeightGroup;
    case BlockType::kQ8_0:
      return 2 + kWeightGroup;
    case BlockType::kQ4_0:
      return 2 + kWeightGroup / 2;
    case BlockType::kQ4_1:
      return 4 + kWeightGroup / 2;
  }
  CHECK(false) << "unknown block type";
}

// Nibble i: low = value i, high = value i + 16.
void ReadNibbles(const std::byte* at, uint8_t* codes) {
  for (int i = 0; i < kWeightGroup / 2; ++i) {
    const auto byte = static_cast<uint8_t>(at[i]);
    codes[i] = byte & 15u;
    codes[i + kWeightGroup / 2] = static_cast<uint8_t>(byte >> 4);
  }
}

uint8_t* LineByte(const TileWeights& tiles, int64_t row, int64_t group, int line) {
  const int64_t tile = row / kTileRows;
  const size_t index = static_cast<size_t>(tile * tiles.layout.num_groups() + group);
  return tiles.codes + index * tiles.layout.group_bytes() + line * 64 + row % kTileRows * 4;
}

size_t ParamIndex(const TileWeights& tiles, int64_t row, int64_t group) {
  const int64_t tile = row / kTileRows;
  return static_cast<size_t>((tile * tiles.layout.num_groups() + group) * kTileRows +
                             row % kTileRows);
}

}  // namespace

size_t RowBytes(BlockType type, int64_t cols) {
  if (type == BlockType::kF32) return static_cast<size_t>(cols) * 4;
  if (!IsQuantized(type)) return static_cast<size_t>(cols) * 2;
  CHECK_EQ(cols % kWeightGroup, 0);
  return static_cast<size_t>(cols / kWeightGroup) * BlockBytes(type);
}

void DequantizeBlocks(BlockType type, const std::byte* data, int64_t cols, float* out) {
  if (type == BlockType::kF32) {
    std::memcpy(out, data, static_cast<size_t>(cols) * sizeof(float));
    return;
  }
  if (!IsQuantized(type)) {
    for (int64_t i = 0; i < cols; ++i) {
      const uint16_t bits = ReadU16(data + 2 * i);
      out[i] = type == BlockType::kF16 ? HalfToFloat(bits) : Bfloat16ToFloat(bits);
    }
    return;
  }
  CHECK_EQ(cols % kWeightGroup, 0);
  const CodeFormat format = StoredCodeFormat(type);
  for (int64_t i = 0; i < cols; i += kWeightGroup) {
    DequantizeGroup(format, ReadBlock(type, data), out + i);
    data += BlockBytes(type);
  }
}

CodeFormat StoredCodeFormat(BlockType type) {
  CHECK(IsQuantized(type));
  return {.bits = type == BlockType::kQ8_0 ? 8 : 4, .has_minimum = type == BlockType::kQ4_1};
}

CodeGroup ReadBlock(BlockType type, const std::byte* block) {
  CHECK(IsQuantized(type));
  CodeGroup out;
  out.scale = ReadU16(block);
  if (type == BlockType::kQ8_0) {
    for (int i = 0; i < kWeightGroup; ++i) {
      out.codes[i] = static_cast<uint8_t>(static_cast<uint8_t>(block[2 + i]) ^ 0x80u);
    }
    return out;
  }
  const bool has_minimum = type == BlockType::kQ4_1;
  if (has_minimum) out.minimum = ReadU16(block + 2);
  ReadNibbles(block + (has_minimum ? 4 : 2), out.codes);
  return out;
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
  const float scale = HalfToFloat(group.scale);
  const float minimum = HalfToFloat(group.minimum);
  for (int i = 0; i < kWeightGroup; ++i) {
    const float product = scale * static_cast<float>(group.codes[i] - format.zero_point());
    out[i] = format.has_minimum ? product + minimum : product;
  }
}

void StoreGroup(const TileWeights& tiles, int64_t row, int64_t group, const CodeGroup& value) {
  const size_t param = ParamIndex(tiles, row, group);
  tiles.scales[param] = value.scale;
  if (tiles.layout.format.has_minimum) tiles.minima[param] = value.minimum;
  if (tiles.layout.format.bits == 8) {
    for (int line = 0; line < 8; ++line) {
      std::memcpy(LineByte(tiles, row, group, line), value.codes + 4 * line, 4);
    }
    return;
  }
  for (int line = 0; line < 4; ++line) {
    uint8_t* at = LineByte(tiles, row, group, line);
    for (int j = 0; j < 4; ++j) {
      at[j] = static_cast<uint8_t>(value.codes[8 * line + j] | value.codes[8 * line + 4 + j] << 4);
    }
  }
}

CodeGroup LoadGroup(const TileWeights& tiles, int64_t row, int64_t group) {
  const size_t param = ParamIndex(tiles, row, group);
  CodeGroup out;
  out.scale = tiles.scales[param];
  if (tiles.layout.format.has_minimum) out.minimum = tiles.minima[param];
  if (tiles.layout.format.bits == 8) {
    for (int line = 0; line < 8; ++line) {
      std::memcpy(out.codes + 4 * line, LineByte(tiles, row, group, line), 4);
    }
    return out;
  }
  for (int line = 0; line < 4; ++line) {
    const uint8_t* at = LineByte(tiles, row, group, line);
    for (int j = 0; j < 4; ++j) {
      out.codes[8 * line + j] = at[j] & 15u;
      out.codes[8 * line + 4 + j] = static_cast<uint8_t>(at[j] >> 4);
    }
  }
  return out;
}

}  // namespace intactkv
