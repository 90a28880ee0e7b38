#include "engine/checkpoint/opened_model.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/checkpoint/model_directory.h"
#include "engine/checkpoint/read_text_file.h"
#include "engine/json/json_fields.h"
#include "engine/model/inspect.h"

namespace intactkv {
namespace {

constexpr size_t kMaxTokenizerBytes = size_t{64} << 20;
constexpr size_t kMaxConfigBytes = size_t{16} << 20;  // of the smaller files
constexpr int64_t kMaxTokenId = (int64_t{1} << 31) - 1;

absl::StatusOr<std::string> TextOf(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(std::optional<std::string> text, ReadOptionalTextFile(path, max_bytes));
  return std::move(text).value_or("");
}

// eos_token_id of the first of the files that has one.
absl::StatusOr<std::vector<int64_t>> ReadEosIds(const std::string& directory) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const std::string path = directory + "/" + name;
    ASSIGN_OR_RETURN(const std::optional<std::string> text,
                     ReadOptionalTextFile(path, kMaxConfigBytes));
    if (!text.has_value()) continue;
    ASSIGN_OR_RETURN(const auto object, ParseJsonFile(path, *text, {}));
    const JsonFields fields(object, path);
    if (fields.Has("eos_token_id")) return fields.GetIntOrInts("eos_token_id", 0, kMaxTokenId);
  }
  return std::vector<int64_t>();
}

bool IsDirectory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

}  // namespace

absl::StatusOr<OpenedModel> OpenedModel::Open(const std::string& path) {
  OpenedModel out;
  if (IsDirectory(path)) {
    std::string name = path;
    while (name.size() > 1 && name.back() == '/') name.pop_back();
    ASSIGN_OR_RETURN(ModelDirectory opened, ModelDirectory::Open(name));
    auto directory = std::make_unique<ModelDirectory>(std::move(opened));
    out.config_ = directory->config();
    out.num_shards_ = directory->num_shards();
    out.weights_ = std::move(directory);
    return out;
  }
  ASSIGN_OR_RETURN(GgufFile opened, GgufFile::Open(path));
  auto file = std::make_unique<GgufFile>(std::move(opened));
  ASSIGN_OR_RETURN(out.config_, ReadModelConfig(*file));
  out.gguf_ = file.get();
  out.weights_ = std::move(file);
  return out;
}

std::string OpenedModel::Describe() const {
  if (gguf_ != nullptr) return DescribeModel(*gguf_, config_);
  const std::string shards = num_shards_ == 1 ? "one file" : std::to_string(num_shards_) + " files";
  const auto has = [this](const char* name) {
    std::error_code error;
    return std::filesystem::exists(weights_->path() + "/" + name, error);
  };
  return DescribeModel(
      *weights_, config_,
      {"safetensors in " + shards, has("tokenizer.json") ? "tokenizer.json" : "none"});
}

absl::StatusOr<DirectoryTexts> OpenedModel::ReadTexts() const {
  CHECK(gguf_ == nullptr) << "a GGUF file keeps its text in its metadata";
  DirectoryTexts out;
  out.path = weights_->path();
  ASSIGN_OR_RETURN(out.tokenizer_json, TextOf(out.path + "/tokenizer.json", kMaxTokenizerBytes));
  ASSIGN_OR_RETURN(out.tokenizer_config_json,
                   TextOf(out.path + "/tokenizer_config.json", kMaxConfigBytes));
  ASSIGN_OR_RETURN(out.chat_template, TextOf(out.path + "/chat_template.jinja", kMaxConfigBytes));
  ASSIGN_OR_RETURN(out.eos_ids, ReadEosIds(out.path));
  return out;
}

}  // namespace intactkv
