// Whether the tensors of a model's files are exactly those that a configuration needs; used by
// model_config.cc and the model's loader.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/model/model_config.h"

namespace intactkv {

// One tensor of a model. A vector has rows == 0.
struct TensorNeed {
  std::string name;
  int64_t cols = 0;
  int64_t rows = 0;
};

// All tensors of the model, in the order token_embd, layers, output_norm, output.
std::vector<TensorNeed> TensorsOf(const ModelConfig& config);

// kInvalidArgument, naming the tensor, if one is missing, has another shape, or is not part of the
// model.
absl::Status CheckTensors(const WeightFiles& files, const ModelConfig& config);

}  // namespace intactkv
