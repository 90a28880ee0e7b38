// Blocks of weight files: sizes, exact values, and the codes in them. The layouts stand in
// kernels/api/tensor.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace intactkv {

// The values of TensorType (kernels/api/tensor.h), which this folder does not include.
enum class BlockType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K
};

inline constexpr int kSuperBlock = 256;  // values of the longest block, that of K-quants

constexpr bool IsQuantized(BlockType type) { return type >= BlockType::kQ8_0; }

// Values of a row that share one block: 1, 32, or 256 (K-quants).
int BlockColumns(BlockType type);
size_t BlockBytes(BlockType type);

// Bytes of `cols` values of a row; cols is a multiple of BlockColumns(type).
size_t RowBytes(BlockType type, int64_t cols);

// "q4_1", "q6_k": the name of a container that holds the type's own codes. `type` is quantized.
std::string_view StoredName(BlockType type);

// Dequantizes `cols` values that start at `data`, a block boundary: the definition of what a file
// means. Every product of scale and code is exact in fp32, so a value is rounded at most once,
// where a minimum is added. Scales that are infinite or NaN are kept, and make such values.
void DequantizeBlocks(BlockType type, const std::byte* data, int64_t cols, float* out);

}  // namespace intactkv
