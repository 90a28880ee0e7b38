// Formats of linear weights: blocks of a weight file, and the tiles in which a backend keeps them.
//
// File blocks hold 32 consecutive values of a row (kernels/api/tensor.h). A tile holds 16 rows
// (outputs); its columns are cut into groups of 32. Codes are unsigned, 4 or 8 bits:
//   symmetric     x = float(scale) * float(u - zero_point), zero_point = 8 or 128
//   with minimum  x = float(scale) * float(u) + float(minimum)
// scale and minimum are fp16 per (row, group). Products of an 11-bit significand and a code are
// exact in fp32, so it does not matter whether a multiply-add is fused.
//
// Codes of one (tile, group): 64-byte lines c of
//   4 bits (4 lines):  byte[row*4+j] low nibble = column 8c+j, high nibble = column 8c+4+j
//   8 bits (8 lines):  byte[row*4+j] = column 4c+j                                  j = 0..3
// Order in memory: [tile][group][line]; scales and minima [tile][group][16]. Rows past the last are
// zero codes with zero parameters.
#pragma once

#include <cstddef>
#include <cstdint>

namespace intactkv {

inline constexpr int kWeightGroup = 32;  // columns that share one scale
inline constexpr int kTileRows = 16;

// The values of TensorType (kernels/api/tensor.h), which this folder does not include.
enum class BlockType : uint8_t { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1 };

constexpr bool IsQuantized(BlockType type) { return type >= BlockType::kQ8_0; }

// Bytes of `cols` values of a row; cols is a multiple of 32 for quantized types.
size_t RowBytes(BlockType type, int64_t cols);

// Dequantizes `cols` values that start at `data`, a block boundary. Exact, except that
// d * nibble + m (kQ4_1) rounds once.
void DequantizeBlocks(BlockType type, const std::byte* data, int64_t cols, float* out);

// 32 values of one row as codes.
struct CodeGroup {
  uint16_t scale = 0;    // fp16
  uint16_t minimum = 0;  // fp16; 0 in symmetric formats
  uint8_t codes[kWeightGroup] = {};
};

struct CodeFormat {
  int bits = 4;  // 4 or 8
  bool has_minimum = false;
  int zero_point() const { return has_minimum ? 0 : 1 << (bits - 1); }
  friend bool operator==(CodeFormat, CodeFormat) = default;
};

// The format that keeps a file type's own codes. `type` is quantized.
CodeFormat StoredCodeFormat(BlockType type);

// The codes of one file block. kQ8_0: u = q + 128.
CodeGroup ReadBlock(BlockType type, const std::byte* block);

// Round to nearest: minimum = fp16(min x), scale = fp16((max x - min x) / (2^bits - 1)), codes by
// the stored values, ties to even. Returns false, and leaves `out` alone, if a value is not finite
// or a parameter does not fit fp16.
bool QuantizeGroup(const float* x, int bits, CodeGroup* out);

void DequantizeGroup(CodeFormat format, const CodeGroup& group, float* out);

// Sizes and places of one tiled matrix [rows, cols].
struct TileLayout {
  CodeFormat format;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t num_tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int64_t num_groups() const { return cols / kWeightGroup; }
  size_t group_bytes() const {
    return static_cast<size_t>(kTileRows * kWeightGroup * format.bits) / 8;
  }
  size_t code_bytes() const {
    return static_cast<size_t>(num_tiles() * num_groups()) * group_bytes();
  }
  // Of scales, and the same of minima if the format has them.
  size_t param_count() const { return static_cast<size_t>(num_tiles() * num_groups()) * kTileRows; }
};

// A tiled matrix in memory that someone else owns. codes is 64-byte aligned; minima is null in
// symmetric formats.
struct TileWeights {
  TileLayout layout;
  uint8_t* codes = nullptr;
  uint16_t* scales = nullptr;
  uint16_t* minima = nullptr;
};

// Permutations, each the inverse of the other.
void StoreGroup(const TileWeights& tiles, int64_t row, int64_t group, const CodeGroup& value);
CodeGroup LoadGroup(const TileWeights& tiles, int64_t row, int64_t group);

}  // namespace intactkv
