// Encodes and decodes K-quant blocks for tests, from one table of where each number lies. Shares no
// code with the readers that it tests.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/api/tensor.h"

namespace intactkv::test {

// What one block says: value i is d * scales[i / n] * codes[i] - dmin * minima[i / n], where n is
// 16 or 32 by type. Numbers that the type cannot hold are a CHECK failure.
struct KQuantBlock {
  float d = 0;  // d and dmin: fp16 numbers, not negative
  float dmin = 0;
  std::vector<int> scales = {};
  std::vector<int> minima = {};  // read by the types that have minima (Q2_K, Q4_K, Q5_K)
  std::vector<int> codes = {};
};
std::vector<std::byte> PackKQuant(TensorType type, const KQuantBlock& block);

// 256 values as one block of K-quant `type`, rounded to nearest.
std::vector<std::byte> EncodeKQuant(TensorType type, std::span<const float> values);

// Appends the 256 values of one block.
void DecodeKQuant(TensorType type, std::span<const std::byte> block, std::vector<float>* out);

}  // namespace intactkv::test
