// Small float tensors of a weight file (norms, biases, RoPE factors) as fp32 vectors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/weight_files.h"

namespace intactkv {

// The values of one-dimensional tensor `name` with exactly `size` elements in F32, F16 or BF16;
// exact. Errors, naming the tensor: kNotFound, kInvalidArgument (another shape or type).
absl::StatusOr<std::vector<float>> ReadFloatVector(const WeightFiles& files,
                                                   const std::string& name, int64_t size);

}  // namespace intactkv
