#include "engine/text/tokenizer_directory.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/json/json_fields.h"
#include "engine/text/tokenizer_json.h"

namespace intactkv {

namespace {

constexpr JsonLimits kConfigLimits;  // the defaults are plenty for a configuration
constexpr int64_t kMaxId = int64_t{1} << 31;

absl::StatusOr<std::optional<std::string>> ReadOptional(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) return std::nullopt;
  if (error) return InvalidArgument(path.string() + ": " + error.message());
  if (size > kMaxTokenizerFileBytes) {
    return InvalidArgument(path.string() + ": has " + std::to_string(size) + " bytes, more than " +
                           std::to_string(kMaxTokenizerFileBytes));
  }
  std::string text(size, '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) {
    return InvalidArgument(path.string() + ": cannot be read");
  }
  return text;
}

absl::StatusOr<std::vector<int64_t>> ReadEndIds(const std::filesystem::path& path,
                                                std::string_view text) {
  ASSIGN_OR_RETURN(const boost::json::object object,
                   ParseJsonFile(path.string(), text, kConfigLimits));
  const JsonFields fields(object, path.string());
  if (!fields.Has("eos_token_id")) return std::vector<int64_t>{};
  return fields.GetIntOrInts("eos_token_id", 0, kMaxId);
}

}  // namespace

absl::StatusOr<TokenizerData> ReadTokenizerDirectory(const std::string& directory) {
  const std::filesystem::path root = directory;
  ASSIGN_OR_RETURN(std::optional<std::string> tokenizer, ReadOptional(root / "tokenizer.json"));
  if (!tokenizer.has_value()) return NotFound(directory + " has no tokenizer.json");
  TokenizerFiles files{.tokenizer = *std::move(tokenizer)};
  ASSIGN_OR_RETURN(std::optional<std::string> config, ReadOptional(root / "tokenizer_config.json"));
  ASSIGN_OR_RETURN(std::optional<std::string> chat, ReadOptional(root / "chat_template.jinja"));
  files.config = std::move(config).value_or("");
  files.chat_template = std::move(chat).value_or("");
  for (const char* name : {"generation_config.json", "config.json"}) {
    ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadOptional(root / name));
    if (!text.has_value()) continue;
    ASSIGN_OR_RETURN(files.end_ids, ReadEndIds(root / name, *text));
    break;
  }
  return ParseTokenizerFiles(files, directory);
}

}  // namespace intactkv
