// config.json of a Hugging Face directory as a ModelConfig.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"

namespace intactkv {

// `text` is the file `path`. The tensors are not looked at: CheckTensors does that. Errors, one
// line that names file and key: kInvalidArgument (not JSON, missing, out of range, contradicting),
// kUnimplemented (another family, or a feature that would change the numbers, by name).
absl::StatusOr<ModelConfig> ReadDirectoryConfig(const std::string& path, std::string_view text);

}  // namespace intactkv
