// Rotary position embedding as config.json states it: rope_theta and rope_scaling, or the newer
// rope_parameters that holds both.
#pragma once

#include "absl/status/status.h"
#include "engine/json/json_fields.h"
#include "engine/model/model_config.h"

namespace intactkv {

// Fills the rope_* fields of `config`, whose head_dim and context_length are known. Errors, naming
// the key: kInvalidArgument, kUnimplemented (a rope type other than default, linear and llama3; a
// part of the head without RoPE).
absl::Status ReadDirectoryRope(const JsonFields& fields, ModelConfig* config);

}  // namespace intactkv
