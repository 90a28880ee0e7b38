// K-quants: the blocks of 256 values that most GGUF files use. Source of the layouts: ggml-org/ggml
// src/ggml-common.h and src/ggml-quants.c.
//
// A block holds fp16 scales (d, dmin) and small integer scales per sub-block of 16 or 32 values:
//   kQ2_K  x = d * (s & 15) * q - dmin * (s >> 4)      q of 2 bits, sub-blocks of 16
//   kQ3_K  x = d * (s - 32) * (q - 4)                  q of 3 bits, s of 6, sub-blocks of 16
//   kQ4_K  x = d * s * q - dmin * m                    q of 4 bits, s and m of 6, sub-blocks of 32
//   kQ5_K  the same with q of 5 bits
//   kQ6_K  x = d * s * (q - 32)                        q of 6 bits, s of 8 (signed), sub-blocks of
//   16
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/block_format.h"

namespace intactkv {

inline constexpr int kMaxSubBlocks = 16;

constexpr bool IsKQuant(BlockType type) { return type >= BlockType::kQ2_K; }

size_t KQuantBytes(BlockType type);

// One block taken apart. Value i = d * scales[i / sub] * (codes[i] - zero point)
// - dmin * minima[i / sub], without the last term in kQ3_K and kQ6_K.
struct KQuantBlock {
  uint16_t d = 0;     // fp16
  uint16_t dmin = 0;  // fp16
  int8_t scales[kMaxSubBlocks] = {};
  int8_t minima[kMaxSubBlocks] = {};
  uint8_t codes[kSuperBlock] = {};
};

// `type` is a K-quant.
KQuantBlock ReadKQuant(BlockType type, const std::byte* block);

// Values of one block, straight from its bytes; independent of ReadKQuant.
void DequantizeKQuant(BlockType type, const std::byte* block, float* out);

}  // namespace intactkv
