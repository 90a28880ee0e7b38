// K, V and q of a real model over real text, as the production executor computes them in full
// precision.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/model/model_config.h"
#include "tests/golden/model/recording_backend.h"

namespace intactkv::golden {

struct CaptureOptions {
  std::string model_path;
  std::vector<TokenId> tokens = {};  // of one sequence, from position 0
  // Rows first_asked, ... also say how the model would go on.
  int first_asked = 0;
  int num_asked = 0;
};

struct ModelCapture {
  ModelConfig config;
  Recording layers;             // the first, the middle and the last one
  std::vector<TokenId> greedy;  // [num_asked]
};

// One step over all tokens without a pin; weights as stored (the file is a quantized one), pages
// and activations in F32. Errors: those of loading and executing; kInternal if the step met a value
// that is not finite.
absl::StatusOr<ModelCapture> CaptureModel(const CaptureOptions& options);

}  // namespace intactkv::golden
