#include "engine/checkpoint/opened_model.h"

#include <filesystem>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/checkpoint/model_directory.h"
#include "engine/checkpoint/read_text_file.h"
#include "engine/model/inspect.h"

namespace intactkv {
namespace {

bool IsDirectory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

}  // namespace

absl::StatusOr<OpenedModel> OpenedModel::Open(const std::string& path) {
  OpenedModel out;
  if (IsDirectory(path)) {
    ASSIGN_OR_RETURN(ModelDirectory opened, ModelDirectory::Open(path));
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
    return std::filesystem::exists(FileIn(weights_->path(), name), error);
  };
  return DescribeModel(
      *weights_, config_,
      {"safetensors in " + shards, has("tokenizer.json") ? "tokenizer.json" : "none"});
}

}  // namespace intactkv
