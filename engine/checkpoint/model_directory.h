// A Hugging Face model directory: config.json and the tensors of one safetensors file, or of the
// shards that model.safetensors.index.json lists.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/safetensors.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_files.h"

namespace intactkv {

inline constexpr size_t kMaxShards = 1000;

// Immutable once opened; movable. Thread-compatible, const calls from any thread. Its tensors are
// exactly those that the configuration needs; those that other programs left beside them (a head
// where the embedding is tied, RoPE buffers) are not among them.
class ModelDirectory : public WeightFiles {
 public:
  // config.json is read first, so that what is not supported is refused by its name. Errors, one
  // line that names the file and the key or tensor: kNotFound (a file is missing), those of
  // SafetensorsFile and ReadDirectoryConfig, kInvalidArgument (index, shards, tensors and
  // configuration contradict each other). O(metadata).
  static absl::StatusOr<ModelDirectory> Open(const std::string& path);

  const ModelConfig& config() const { return config_; }
  int num_shards() const { return static_cast<int>(shards_.size()); }
  void Discard(const WeightTensor& tensor) const override;

 private:
  // Which shard holds a tensor, by the tensor's name in the files.
  using WeightMap = std::map<std::string, std::string, std::less<>>;

  ModelDirectory() : WeightFiles(TensorNaming::kHuggingFace) {}
  absl::Status OpenShards();
  absl::StatusOr<WeightMap> ReadIndex(const std::string& text) const;
  absl::Status OpenShard(const std::string& name, const WeightMap* index);
  absl::Status Take(const std::string& shard_path, const SafetensorsTensor& tensor);

  ModelConfig config_;
  std::vector<SafetensorsFile> shards_;
};

}  // namespace intactkv
