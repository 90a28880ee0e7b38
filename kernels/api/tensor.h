// Host-side view of one weight tensor as its file stores it, and the formats in which a backend may
// keep it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace intactkv {

// Storage types of a weight file. Blocked types hold 32 consecutive values of a row per block, or
// 256 (K-quants; kernels/quant/k_quants.h has their layouts):
//   kQ8_0 {fp16 d; int8 q[32]}                  x = d * q
//   kQ4_0 {fp16 d; u8 q[16]}                    x = d * (code - 8)
//   kQ4_1 {fp16 d; fp16 m; u8 q[16]}            x = d * code + m
//   kQ5_0 {fp16 d; u32 high; u8 q[16]}          x = d * (code - 16)
//   kQ5_1 {fp16 d; fp16 m; u32 high; u8 q[16]}  x = d * code + m
// Nibble i of q: low = value i, high = value i + 16; bit i of `high` is the fifth bit of code i.
enum class TensorType : uint8_t {
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

// Row-major [rows, cols]; a vector has rows = 1. `data` is not owned and outlives the call it is
// passed to. Blocked types: cols is a multiple of the block.
struct HostTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;
};

// How a backend keeps a linear weight (--weights).
//   kStored  a quantized tensor's own codes, scales and minima, permuted into tiles: dequantized
//   tile == dequantized file,
//            bit for bit. On a float tensor: int4 by RTN.
//   kInt8/kInt4  RTN, asymmetric, groups of 32 along the columns, fp16 scale and minimum; a tensor
//   whose stored tile has codes of that width (4 bits: kQ2_K, kQ3_K and kQ4_K too)
//            keeps its codes.
//   kF32     the file's values dequantized to fp32.     kBF16 is refused (Unimplemented) for now.
enum class WeightFormat : uint8_t { kStored, kF32, kBF16, kInt8, kInt4 };

// How activations enter a linear (--activations). kInt8: int8 per token and group of 32 columns,
// always. A kF32 weight always takes fp32 activations.
enum class ActivationFormat : uint8_t { kF32, kInt8 };

}  // namespace intactkv
