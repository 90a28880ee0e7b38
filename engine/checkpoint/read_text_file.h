// Files of a model directory: their paths, and small texts read whole.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace intactkv {

// The path of file `name` in `directory`, which may end in a slash.
std::string FileIn(const std::string& directory, const std::string& name);

// Errors, naming the path: those of MappedFile::Open; kInvalidArgument for more than `max_bytes`.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t max_bytes);
// Nothing if there is no such file.
absl::StatusOr<std::optional<std::string>> ReadOptionalTextFile(const std::string& path,
                                                                size_t max_bytes);

}  // namespace intactkv
