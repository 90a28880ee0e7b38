#include "engine/model/float_vector.h"

#include <cstring>

#include "engine/base/half_float.h"
#include "engine/base/status_macros.h"
#include "engine/model/gguf.h"

namespace intactkv {

absl::StatusOr<std::vector<float>> ReadFloatVector(const WeightFiles& files,
                                                   const std::string& name, int64_t size) {
  const WeightTensor* tensor = files.FindTensor(name);
  const std::string where = files.Where(name);
  if (tensor == nullptr) return NotFound(where + ": is missing");
  if (tensor->cols() != size || tensor->rows() != 1) {
    return InvalidArgument(where + ": shape " + files.DescribeShape(tensor->shape) + " must be [" +
                           std::to_string(size) + "]");
  }
  if (TensorBlockElements(tensor->type) != 1) {
    return InvalidArgument(where + ": type " + std::string(TensorTypeName(tensor->type)) +
                           " must be F32, F16 or BF16");
  }
  std::vector<float> out(static_cast<size_t>(size));
  if (tensor->type == TensorType::kF32) {
    std::memcpy(out.data(), tensor->data.data(), tensor->data.size());
    return out;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, tensor->data.data() + i * sizeof(bits), sizeof(bits));
    out[i] = tensor->type == TensorType::kF16 ? HalfToFloat(bits) : Bfloat16ToFloat(bits);
  }
  return out;
}

}  // namespace intactkv
