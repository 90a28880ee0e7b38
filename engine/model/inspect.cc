#include "engine/model/inspect.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string_view>
#include <utility>

#include "engine/base/page_entry.h"
#include "engine/base/printable.h"
#include "engine/model/kv_policy.h"
#include "kernels/api/page_layout.h"

namespace intactkv {
namespace {

std::string Line(std::string_view label, const std::string& value) {
  std::string out(label);
  out.resize(std::max<size_t>(out.size(), 16), ' ');
  return out + " " + value + "\n";
}

std::string TensorLine(const WeightFiles& files) {
  std::map<std::string, std::pair<int, int64_t>> by_type;  // count, bytes
  for (const WeightTensor& tensor : files.tensors()) {
    auto& [count, bytes] = by_type[std::string(TensorTypeName(tensor.type))];
    ++count;
    bytes += static_cast<int64_t>(tensor.data.size());
  }
  std::string out;
  for (const auto& [type, sum] : by_type) {
    if (!out.empty()) out += ", ";
    out += std::to_string(sum.first) + " " + type + " (" + FormatBytes(sum.second) + ")";
  }
  return std::to_string(files.tensors().size()) + ": " + out;
}

std::string TokenizerLine(const GgufFile& file) {
  const auto text = [&file](const char* key) -> std::string {
    const absl::StatusOr<std::string> value = file.GetString(key);
    return value.ok() ? Printable(*value) : "none";
  };
  const absl::StatusOr<int64_t> tokens = file.GetArrayLength("tokenizer.ggml.tokens");
  const absl::StatusOr<int64_t> merges = file.GetArrayLength("tokenizer.ggml.merges");
  return text("tokenizer.ggml.model") + ", pre-tokenizer " + text("tokenizer.ggml.pre") + ", " +
         std::to_string(tokens.ok() ? *tokens : 0) + " tokens, " +
         std::to_string(merges.ok() ? *merges : 0) + " merges, chat template " +
         (file.Has("tokenizer.chat_template") ? "yes" : "no");
}

std::string HeadsLine(const ModelConfig& config) {
  return std::to_string(config.num_q_heads) + " query, " + std::to_string(config.num_kv_heads) +
         " key/value, size " + std::to_string(config.head_dim);
}

std::string RopeLine(const ModelConfig& config) {
  char base[64];
  std::snprintf(base, sizeof(base), "base %g", static_cast<double>(config.rope_freq_base));
  std::string out = base;
  if (config.rope_linear_factor != 1.0f) {
    char factor[64];
    std::snprintf(factor, sizeof(factor), ", linear factor %g",
                  static_cast<double>(config.rope_linear_factor));
    out += factor;
  }
  return out + (config.rope_has_factors ? ", factors per frequency" : "");
}

int64_t PageBytes(const ModelConfig& config, KvFormat format) {
  const KvShape shape = {config.num_layers, config.num_kv_heads, config.head_dim};
  return static_cast<int64_t>(MakeClassLayout(shape, format).page_bytes);
}

std::string KvLine(const ModelConfig& config) {
  std::string out;
  for (const KvFormat format : StoredFormats()) {
    if (!out.empty()) out += ", ";
    out += std::to_string(PageBytes(config, format) / kPageTokens) + " " +
           std::string(StoredFormatName(format));
  }
  return out + " (bytes per token)";
}

}  // namespace

std::string FormatBytes(int64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string DescribeModel(const WeightFiles& files, const ModelConfig& config,
                          const ModelNotes& notes) {
  int64_t parameters = 0, stored = 0;
  for (const WeightTensor& tensor : files.tensors()) {
    parameters += tensor.num_elements();
    stored += static_cast<int64_t>(tensor.data.size());
  }
  const KvFormat automatic = AutomaticKvFormat(config.architecture).format;
  const int64_t full_context = BlocksFor(config.context_length) * PageBytes(config, automatic);
  std::string out;
  out += Line("file", Printable(files.path()) + " (" + FormatBytes(files.file_bytes()) + ", " +
                          notes.container + ")");
  out += Line("name", config.name.empty() ? "none" : config.name);
  out += Line("architecture", config.architecture);
  out += Line("layers", std::to_string(config.num_layers));
  out += Line("hidden",
              std::to_string(config.hidden) + ", feed-forward " + std::to_string(config.ffn));
  out += Line("heads", HeadsLine(config));
  out += Line("rope", RopeLine(config));
  out += Line("context",
              std::to_string(config.context_length) + " tokens" +
                  (config.sliding_window == 0
                       ? ""
                       : ", attention to the last " + std::to_string(config.sliding_window)));
  out += Line("vocabulary",
              std::to_string(config.vocab) +
                  (config.tied_embeddings ? ", head tied to the embedding" : ", head of its own"));
  out += Line("parameters", std::to_string(parameters));
  out += Line("tensors", TensorLine(files));
  out += Line("tokenizer", notes.tokenizer);
  out += Line("kv cache", KvLine(config));
  out +=
      Line("memory",
           "weights as stored " + FormatBytes(stored) + "; one full context in " +
               std::string(StoredFormatName(automatic)) + " pages " + FormatBytes(full_context) +
               "; while prefixes are built, full-precision weights " + FormatBytes(parameters * 4));
  return out;
}

std::string DescribeModel(const GgufFile& file, const ModelConfig& config) {
  return DescribeModel(file, config, {"GGUF v3", TokenizerLine(file)});
}

}  // namespace intactkv
