// Small text files of a model directory, read whole.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace intactkv {

// Errors, naming the path: those of MappedFile::Open; kInvalidArgument for more than `max_bytes`.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t max_bytes);
// Nothing if there is no such file.
absl::StatusOr<std::optional<std::string>> ReadOptionalTextFile(const std::string& path,
                                                                size_t max_bytes);

}  // namespace intactkv
