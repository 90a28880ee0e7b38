// A model by its path, GGUF file or Hugging Face directory: nothing above this folder needs to know
// which.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_files.h"

namespace intactkv {

// Immutable; movable. Thread-compatible, const calls from any thread. Keeps the files mapped.
class OpenedModel {
 public:
  // Opens, parses and checks everything but the text. Errors, one line that names the file and the
  // key, tensor or field: those of GgufFile, ReadModelConfig and ModelDirectory. O(metadata).
  static absl::StatusOr<OpenedModel> Open(const std::string& path);

  const WeightFiles& weights() const { return *weights_; }
  const ModelConfig& config() const { return config_; }
  // The text of `intactkv model inspect`.
  std::string Describe() const;

  // The GGUF file, whose metadata hold the text; nullptr for a directory, whose text lies in files
  // of its own at weights().path().
  const GgufFile* gguf() const { return gguf_; }

 private:
  OpenedModel() = default;

  std::unique_ptr<WeightFiles> weights_;
  const GgufFile* gguf_ = nullptr;  // weights_, or null
  int num_shards_ = 0;              // of a directory
  ModelConfig config_;
};

}  // namespace intactkv
