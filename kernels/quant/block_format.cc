#include "kernels/quant/block_format.h"

#include <cstring>

#include "engine/base/check.h"
#include "kernels/quant/half.h"
#include "kernels/quant/k_quants.h"

namespace intactkv {
namespace {

constexpr int kSmallBlock = 32;

uint16_t ReadU16(const std::byte* at) {
  uint16_t out;
  std::memcpy(&out, at, sizeof(out));
  return out;
}

void DequantizeQ80(const std::byte* block, float* out) {
  const float d = HalfToFloat(ReadU16(block));
  for (int i = 0; i < kSmallBlock; ++i) {
    out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  }
}

// Nibble i: low = value i, high = value i + 16; bit i of `high` above it.
int Code(const std::byte* nibbles, uint32_t high, int i) {
  const int pair = std::to_integer<int>(nibbles[i % 16]);
  return (i < 16 ? pair & 15 : pair >> 4) | static_cast<int>(high >> i & 1) << 4;
}

// kQ4_0, kQ5_0: codes about a zero point.
void DequantizeSymmetric(const std::byte* block, bool five, float* out) {
  const float d = HalfToFloat(ReadU16(block));
  uint32_t high = 0;
  if (five) std::memcpy(&high, block + 2, sizeof(high));
  for (int i = 0; i < kSmallBlock; ++i) {
    out[i] = d * static_cast<float>(Code(block + (five ? 6 : 2), high, i) - (five ? 16 : 8));
  }
}

// kQ4_1, kQ5_1: codes above a minimum.
void DequantizeMinimum(const std::byte* block, bool five, float* out) {
  const float d = HalfToFloat(ReadU16(block));
  const float m = HalfToFloat(ReadU16(block + 2));
  uint32_t high = 0;
  if (five) std::memcpy(&high, block + 4, sizeof(high));
  for (int i = 0; i < kSmallBlock; ++i) {
    out[i] = d * static_cast<float>(Code(block + (five ? 8 : 4), high, i)) + m;
  }
}

void DequantizeBlock(BlockType type, const std::byte* block, float* out) {
  switch (type) {
    case BlockType::kQ8_0:
      return DequantizeQ80(block, out);
    case BlockType::kQ4_0:
    case BlockType::kQ5_0:
      return DequantizeSymmetric(block, type == BlockType::kQ5_0, out);
    case BlockType::kQ4_1:
    case BlockType::kQ5_1:
      return DequantizeMinimum(block, type == BlockType::kQ5_1, out);
    default:
      return DequantizeKQuant(type, block, out);
  }
}

}  // namespace

int BlockColumns(BlockType type) {
  if (!IsQuantized(type)) return 1;
  return IsKQuant(type) ? kSuperBlock : kSmallBlock;
}

size_t BlockBytes(BlockType type) {
  switch (type) {
    case BlockType::kF32:
      return 4;
    case BlockType::kF16:
    case BlockType::kBF16:
      return 2;
    case BlockType::kQ8_0:
      return 2 + kSmallBlock;
    case BlockType::kQ4_0:
      return 2 + kSmallBlock / 2;
    case BlockType::kQ4_1:
      return 4 + kSmallBlock / 2;
    case BlockType::kQ5_0:
      return 2 + kSmallBlock * 5 / 8;
    case BlockType::kQ5_1:
      return 4 + kSmallBlock * 5 / 8;
    default:
      return KQuantBytes(type);
  }
}

size_t RowBytes(BlockType type, int64_t cols) {
  const int columns = BlockColumns(type);
  CHECK_EQ(cols % columns, 0);
  return static_cast<size_t>(cols / columns) * BlockBytes(type);
}

std::string_view StoredName(BlockType type) {
  CHECK(IsQuantized(type));
  static constexpr std::string_view kNames[] = {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1",
                                                "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"};
  return kNames[static_cast<size_t>(type) - static_cast<size_t>(BlockType::kQ8_0)];
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
  const int columns = BlockColumns(type);
  CHECK_EQ(cols % columns, 0);
  for (int64_t i = 0; i < cols; i += columns, data += BlockBytes(type)) {
    DequantizeBlock(type, data, out + i);
  }
}

}  // namespace intactkv
