#include "engine/checkpoint/model_directory.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/checkpoint/directory_config.h"
#include "engine/checkpoint/read_text_file.h"
#include "engine/json/json_fields.h"
#include "engine/model/tensor_check.h"
#include "engine/model/tensor_names.h"

namespace intactkv {
namespace {

constexpr char kConfig[] = "config.json";
constexpr char kSingle[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxIndexBytes = size_t{16} << 20;

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// The directory's own name, for people.
std::string NameOf(const std::string& path) {
  std::filesystem::path name(path);
  if (!name.has_filename()) name = name.parent_path();
  return Printable(name.filename().string());
}

// A file of this directory and of no other.
bool IsPlainFileName(const std::string& name) {
  return name.ends_with(".safetensors") && name.size() <= 255 &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > 0x20 && c < 0x7f && c != '/' && c != '\\'; });
}

// What some programs saved beside the weights: RoPE frequencies, which config.json states.
bool IsBuffer(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

}  // namespace

absl::StatusOr<ModelDirectory> ModelDirectory::Open(const std::string& path) {
  ModelDirectory out;
  out.path_ = path;
  const std::string config_path = FileIn(path, kConfig);
  ASSIGN_OR_RETURN(const std::optional<std::string> text,
                   ReadOptionalTextFile(config_path, kMaxConfigBytes));
  if (!text.has_value()) {
    return NotFound(path + ": is a directory without config.json; give a Hugging Face model " +
                    "directory or the path of a GGUF file");
  }
  ASSIGN_OR_RETURN(out.config_, ReadDirectoryConfig(config_path, *text));
  out.config_.name = NameOf(path);
  RETURN_IF_ERROR(out.OpenShards());
  RETURN_IF_ERROR(CheckTensors(out, out.config_));
  return out;
}

void ModelDirectory::Discard(const WeightTensor& tensor) const {
  for (const SafetensorsFile& shard : shards_) shard.Discard(tensor.data);
}

absl::Status ModelDirectory::OpenShards() {
  if (Exists(FileIn(path_, kSingle))) return OpenShard(kSingle, nullptr);
  const std::string index_path = FileIn(path_, kIndex);
  ASSIGN_OR_RETURN(const std::optional<std::string> text,
                   ReadOptionalTextFile(index_path, kMaxIndexBytes));
  if (!text.has_value()) {
    return NotFound(path_ + ": has neither " + kSingle + " nor " + kIndex +
                    "; weights in other forms must be saved as safetensors first, and a GGUF "
                    "file is given by its own path");
  }
  ASSIGN_OR_RETURN(const WeightMap index, ReadIndex(*text));
  std::set<std::string> names;
  for (const auto& [tensor, shard] : index) names.insert(shard);
  if (names.size() > kMaxShards) {
    return InvalidArgument(index_path + ": key 'weight_map': names " +
                           std::to_string(names.size()) + " files, at most " +
                           std::to_string(kMaxShards));
  }
  size_t num_tensors = 0;
  for (const std::string& name : names) {
    RETURN_IF_ERROR(OpenShard(name, &index));
    num_tensors += shards_.back().tensors().size();
  }
  if (num_tensors == index.size()) return absl::OkStatus();
  // Every tensor of a shard is in the index, so the index has some that no shard has.
  std::set<std::string> found;
  for (const SafetensorsFile& shard : shards_) {
    for (const SafetensorsTensor& tensor : shard.tensors()) found.insert(tensor.name);
  }
  for (const auto& [tensor, shard] : index) {
    if (found.contains(tensor)) continue;
    return InvalidArgument(index_path + ": key 'weight_map." + Printable(tensor) + "': " + shard +
                           " has no such tensor");
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelDirectory::WeightMap> ModelDirectory::ReadIndex(const std::string& text) const {
  const std::string path = FileIn(path_, kIndex);
  ASSIGN_OR_RETURN(const auto object, ParseJsonFile(path, text,
                                                    {.max_depth = 4,
                                                     .max_keys = kSafetensorsMaxTensors,
                                                     .max_expanded_bytes = 16 * kMaxIndexBytes}));
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields(object, path).GetObject("weight_map"));
  WeightMap out;
  for (const std::string& tensor : fields.Keys()) {
    ASSIGN_OR_RETURN(const std::string shard, fields.GetString(tensor));
    if (!IsPlainFileName(shard)) {
      return fields.Error(tensor, "'" + Printable(shard) +
                                      "' is not the name of a .safetensors file beside the index");
    }
    out.emplace(tensor, shard);
  }
  return out;
}

absl::Status ModelDirectory::OpenShard(const std::string& name, const WeightMap* index) {
  const std::string path = FileIn(path_, name);
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  file_bytes_ += file.file_bytes();
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (index != nullptr) {
      const auto listed = index->find(tensor.name);
      if (listed == index->end() || listed->second != name) {
        return InvalidArgument(path + ": tensor '" + Printable(tensor.name) + "': " + kIndex +
                               " does not list it for this file");
      }
    }
    RETURN_IF_ERROR(Take(path, tensor));
  }
  shards_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::Status ModelDirectory::Take(const std::string& shard_path, const SafetensorsTensor& tensor) {
  if (IsBuffer(tensor.name)) return absl::OkStatus();
  const std::optional<std::string> name = FromHuggingFaceName(tensor.name);
  const std::string where = shard_path + ": tensor '" + Printable(tensor.name) + "': ";
  if (!name.has_value()) {
    return InvalidArgument(where + "is not part of a " + config_.architecture + " model");
  }
  if (config_.tied_embeddings && *name == "output.weight") return absl::OkStatus();
  WeightTensor out{*name, tensor.type, tensor.shape, tensor.data};
  std::reverse(out.shape.begin(), out.shape.end());
  if (AddTensor(std::move(out))) return absl::OkStatus();
  return InvalidArgument(where + "is in two files");
}

}  // namespace intactkv
