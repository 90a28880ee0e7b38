#include "engine/checkpoint/read_text_file.h"

#include <filesystem>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/model/mapped_file.h"

namespace intactkv {

std::string FileIn(const std::string& directory, const std::string& name) {
  return (std::filesystem::path(directory) / name).string();
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (file.bytes().size() > max_bytes) {
    return InvalidArgument(path + ": has " + std::to_string(file.bytes().size()) +
                           " bytes, more than " + std::to_string(max_bytes));
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

absl::StatusOr<std::optional<std::string>> ReadOptionalTextFile(const std::string& path,
                                                                size_t max_bytes) {
  absl::StatusOr<std::string> text = ReadTextFile(path, max_bytes);
  if (absl::IsNotFound(text.status())) return std::optional<std::string>();
  if (!text.ok()) return text.status();
  return std::optional<std::string>(*std::move(text));
}

}  // namespace intactkv
