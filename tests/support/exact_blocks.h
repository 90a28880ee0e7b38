// Weights that every tensor type of GGUF holds exactly: one model in many types is then one set of
// numbers, and one record of its logits stands for all of them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/api/tensor.h"

namespace intactkv::test {

inline constexpr size_t kExactGroup = 32;  // consecutive weights that share a factor

// `values` in blocks of `type`, a blocked type; values.size() is a multiple of its block. Each
// value is step * f * c with c in {-3, -1, 1, 3} and, per group of 32, one f in {1, 2, 3}; step is
// a power of two that fp16 holds. CHECK-fails for other values.
std::vector<std::byte> EncodeExactly(TensorType type, std::span<const float> values, float step);

}  // namespace intactkv::test
