// What a model is, in words: the text of `intactkv model inspect`.
#pragma once

#include <string>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"

namespace intactkv {

// What inspection says beside the weights.
struct ModelNotes {
  std::string container;  // "GGUF v3"
  std::string tokenizer;  // one line
};

// Several lines, each ending in '\n': architecture, sizes, parameter count, tensors by type,
// tokenizer, context, KV bytes per token by format, memory needed. Reads metadata only.
std::string DescribeModel(const WeightFiles& files, const ModelConfig& config,
                          const ModelNotes& notes);
std::string DescribeModel(const GgufFile& file, const ModelConfig& config);

// "98.4 MB" (powers of ten), as files are measured; exact below 1000 bytes.
std::string FormatBytes(int64_t bytes);

}  // namespace intactkv
