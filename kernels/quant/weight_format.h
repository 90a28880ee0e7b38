// Tiles: how a backend keeps linear weights as integer codes, and the scales that belong to them.
//
// A tile holds 16 rows (outputs). Its columns are cut into strips of 32, and into groups of 32 or
// 16 that share one scale. Codes u are unsigned, of 4, 5, 6 or 8 bits:
//   symmetric     x = scale * float(u - zero_point), zero_point = 2^(bits - 1)
//   with minimum  x = scale * float(u) + minimum
// scale and minimum are fp16 per (row, group); or, in two-level formats, fp16 per (row, 256
// columns) times an int8 factor per (row, group). The product of an 11-bit significand, a factor
// and a code is exact in fp32, so it does not matter whether a multiply-add is fused.
//
// Codes of one (tile, strip): 64-byte lines
//   4, 5, 6 bits  low plane, lines c = 0..3: byte[row*4+j] low nibble = low bits of column 8c+j,
//                 high nibble = of column 8c+4+j; then the plane of the h = 1 or 2 further bits, h
//                 lines: byte[row*4+j] of line i*h/8 has those of column 4i+j at bit i*h%8, i =
//                 0..7
//   8 bits        lines c = 0..7: byte[row*4+j] = column 4c+j                            j = 0..3
// Order in memory: [tile][strip][line]; fp16 parameters and factors [tile][where][16]. Rows past
// the last are zero codes with zero parameters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/block_format.h"  // IWYU pragma: export

namespace intactkv {

// Columns of a strip, of a group of activations, and of most groups of weights.
inline constexpr int kWeightGroup = 32;
inline constexpr int kTileRows = 16;

struct CodeFormat {
  int bits = 4;  // 4, 5, 6 or 8
  bool has_minimum = false;
  int group = kWeightGroup;  // columns that share one scale: 32 or 16
  bool two_level = false;
  constexpr int zero_point() const { return has_minimum ? 0 : 1 << (bits - 1); }
  // Columns that share fp16 parameters.
  constexpr int span() const { return two_level ? kSuperBlock : group; }
  friend constexpr bool operator==(CodeFormat, CodeFormat) = default;
};

// Every format that kernels know.
inline constexpr CodeFormat kCodeFormats[] = {
    {4, false},            // kQ4_0
    {4, true},             // kQ4_1, int4
    {5, false},            // kQ5_0
    {5, true},             // kQ5_1
    {8, false},            // kQ8_0
    {8, true},             // int8
    {4, true, 16, true},   // kQ2_K
    {4, false, 16, true},  // kQ3_K
    {4, true, 32, true},   // kQ4_K
    {5, true, 32, true},   // kQ5_K
    {6, false, 16, true},  // kQ6_K
};
inline constexpr int kNumCodeFormats = static_cast<int>(sizeof(kCodeFormats) / sizeof(CodeFormat));

// Place of `format` in kCodeFormats.
int CodeFormatIndex(CodeFormat format);

// The format that keeps a file type's own codes. `type` is quantized.
CodeFormat StoredCodeFormat(BlockType type);

// One row's codes of one group, and their parameters.
struct CodeGroup {
  uint16_t scale = 0;                // fp16
  uint16_t minimum = 0;              // fp16; 0 in symmetric formats
  int8_t scale_factor = 1;           // 1 in one-level formats, as the next
  int8_t minimum_factor = 1;         // 1 in symmetric formats
  uint8_t codes[kWeightGroup] = {};  // format.group of them
};

inline constexpr int kMaxBlockGroups = 16;

// The codes of one file block, as the format of its type has them, in BlockColumns(type) / group
// groups. The fp16 minimum of K-quants changes its sign (files subtract it).
void ReadBlock(BlockType type, const std::byte* block, CodeGroup* out);

// 32 values. Round to nearest: minimum = fp16(min x), scale = fp16((max x - min x) / (2^bits - 1)),
// codes by the stored values, ties to even. Returns false, and leaves `out` alone, if a value is
// not finite or a parameter does not fit fp16.
bool QuantizeGroup(const float* x, int bits, CodeGroup* out);

// format.group values.
void DequantizeGroup(CodeFormat format, const CodeGroup& group, float* out);

// Sizes and places of one tiled matrix [rows, cols]; cols is a multiple of 32 and of format.span().
struct TileLayout {
  CodeFormat format;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t num_tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int64_t num_strips() const { return cols / kWeightGroup; }  // of a tile, as the next two
  int64_t num_groups() const { return cols / format.group; }
  int64_t num_spans() const { return cols / format.span(); }
  size_t strip_bytes() const {
    return static_cast<size_t>(kTileRows * kWeightGroup * format.bits) / 8;
  }
  size_t code_bytes() const {
    return static_cast<size_t>(num_tiles() * num_strips()) * strip_bytes();
  }
  // Of scales, and the same of minima if the format has them.
  size_t param_count() const { return static_cast<size_t>(num_tiles() * num_spans()) * kTileRows; }
  // Of scale factors, and the same of minimum factors if the format has minima.
  size_t factor_count() const {
    return format.two_level ? static_cast<size_t>(num_tiles() * num_groups()) * kTileRows : 0;
  }
  // Of all five arrays, each on 64 bytes.
  size_t bytes() const;
};

// A tiled matrix in memory that someone else owns. codes is 64-byte aligned; minima are null in
// symmetric formats, factors in one-level ones.
struct TileWeights {
  TileLayout layout;
  uint8_t* codes = nullptr;
  uint16_t* scales = nullptr;
  uint16_t* minima = nullptr;
  int8_t* scale_factors = nullptr;
  int8_t* minimum_factors = nullptr;
};

// `memory` has layout.bytes() bytes, all zero, aligned to 64.
TileWeights PlaceTiles(const TileLayout& layout, std::byte* memory);

// What a kernel reads of a tiled matrix, from one tile on.
struct TileView {
  const uint8_t* codes = nullptr;
  const uint16_t* scales = nullptr;
  const uint16_t* minima = nullptr;
  const int8_t* scale_factors = nullptr;
  const int8_t* minimum_factors = nullptr;
};
TileView ViewTiles(const TileWeights& tiles, int64_t first_tile);

// Permutations, each the inverse of the other.
void StoreGroup(const TileWeights& tiles, int64_t row, int64_t group, const CodeGroup& value);
CodeGroup LoadGroup(const TileWeights& tiles, int64_t row, int64_t group);

}  // namespace intactkv
