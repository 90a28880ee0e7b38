// Where the real models lie on this machine, and whether they are the references'.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace intactkv::golden {

// $INTACTKV_TEST_MODEL, else intactkv/SmolLM2-135M-Instruct.Q4_1.gguf below $XDG_CACHE_HOME or
// ~/.cache. The file need not exist.
std::string DefaultModelPath();

// $INTACTKV_TEST_SECOND_MODEL, else Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf in the same place.
std::string SecondModelPath();

// Reads the whole file. kNotFound: cannot be opened; kFailedPrecondition: another SHA-256.
absl::Status CheckSha256(const std::string& path, const std::array<uint8_t, 32>& want);

}  // namespace intactkv::golden
