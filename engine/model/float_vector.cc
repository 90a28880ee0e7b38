#include "engine/model/float_vector.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/status_macros.h"

namespace intactkv {

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide_exponent << 23 | mantissa << 13);
}

float Bfloat16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

absl::StatusOr<std::vector<float>> ReadFloatVector(const GgufFile& file, const std::string& name,
                                                   int64_t size) {
  const GgufTensor* tensor = file.FindTensor(name);
  const std::string where = file.path() + ": tensor '" + name + "'";
  if (tensor == nullptr) return NotFound(where + ": is missing");
  if (tensor->cols() != size || tensor->rows() != 1) {
    return InvalidArgument(where + ": shape " + ShapeString(tensor->shape) + " must be [" +
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
