// A model by its path, GGUF file or Hugging Face directory: nothing above this folder needs to know
// which.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_files.h"

namespace intactkv {

// What a directory says about its text, as the files have it; "" for a file that is not there.
struct DirectoryTexts {
  std::string path;                   // of the directory
  std::string tokenizer_json;         // tokenizer.json
  std::string tokenizer_config_json;  // tokenizer_config.json
  std::string chat_template;          // chat_template.jinja; wins over the one in tokenizer_config
  std::vector<int64_t> eos_ids;       // generation_config.json's, else config.json's; may be empty
};

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

  // The GGUF file, whose metadata hold the text; nullptr for a directory.
  const GgufFile* gguf() const { return gguf_; }
  // Of a directory. Errors name the file: kInvalidArgument (too large, or no ids at eos_token_id).
  absl::StatusOr<DirectoryTexts> ReadTexts() const;

 private:
  OpenedModel() = default;

  std::unique_ptr<WeightFiles> weights_;
  const GgufFile* gguf_ = nullptr;  // weights_, or null
  int num_shards_ = 0;              // of a directory
  ModelConfig config_;
};

}  // namespace intactkv
