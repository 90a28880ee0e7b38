// ggml's numbers of tensor types: which we read, and the names of those that we refuse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/api/tensor.h"

namespace intactkv {

struct GgufTensorType {
  uint32_t id;
  std::string_view name;
  std::optional<TensorType> type;  // none: not supported
};

// nullptr: no type of this number is known.
const GgufTensorType* FindGgufTensorType(uint32_t id);

// "F32", "Q4_1", ....
std::string_view TensorTypeName(TensorType type);
int TensorBlockElements(TensorType type);  // 1, 32, or 256 for K-quants
int TensorBlockBytes(TensorType type);

// All that a file may use, for messages: "F32, F16, ... or Q6_K".
std::string SupportedTensorTypes();

}  // namespace intactkv
