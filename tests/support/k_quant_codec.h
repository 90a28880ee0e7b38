// Encodes and decodes K-quant blocks for tests, from one table of where each number lies. Shares no
// code with the readers that it tests.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/api/tensor.h"

namespace intactkv::test {

// 256 values as one block of K-quant `type`, rounded to nearest.
std::vector<std::byte> EncodeKQuant(TensorType type, std::span<const float> values);

// Appends the 256 values of one block.
void DecodeKQuant(TensorType type, std::span<const std::byte> block, std::vector<float>* out);

}  // namespace intactkv::test
