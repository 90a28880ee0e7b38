// ReadModelConfig for GGUF files.
#include <string_view>
#include <utility>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/model/float_vector.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/model/rope_frequencies.h"
#include "engine/model/tensor_check.h"

namespace intactkv {
namespace {

// Reads keys of one file; each getter names the key and the range that it must lie in.
class ConfigReader {
 public:
  explicit ConfigReader(const GgufFile& file) : file_(file) {}

  absl::Status Error(const std::string& key, const std::string& why) const {
    return InvalidArgument(file_.path() + ": metadata key '" + key + "': " + why);
  }

  absl::Status ReadInt(const std::string& key, int max, int* out) const {
    ASSIGN_OR_RETURN(const int64_t value, file_.GetInt(key));
    if (value < 1 || value > max) {
      return Error(key, std::to_string(value) + " is not in 1.." + std::to_string(max));
    }
    *out = static_cast<int>(value);
    return absl::OkStatus();
  }

  // Leaves *out alone if the key is missing.
  absl::Status ReadOptionalInt(const std::string& key, int max, int* out) const {
    return file_.Has(key) ? ReadInt(key, max, out) : absl::OkStatus();
  }

  // (min, max), both excluded.
  absl::Status ReadFloat(const std::string& key, double min, double max, float* out) const {
    ASSIGN_OR_RETURN(const double value, file_.GetFloat(key));
    if (!(value > min && value < max)) {
      return Error(key, std::to_string(value) + " is not between " + std::to_string(min) + " and " +
                            std::to_string(max));
    }
    *out = static_cast<float>(value);
    return absl::OkStatus();
  }

  absl::Status CheckMultipleOf32(const std::string& key, int value) const {
    if (value % 32 == 0) return absl::OkStatus();
    return Error(key, std::to_string(value) + " must be a multiple of 32");
  }

 private:
  const GgufFile& file_;
};

// The families, by general.architecture.
struct Family {
  std::string_view architecture;
  RopeStyle rope_style;  // how its q and k rows are written
  bool always_bias;      // on q, k and v; else as the tensors say
  bool qk_norm;
};
constexpr Family kFamilies[] = {
    {"llama", RopeStyle::kInterleaved, false, false},  // also SmolLM2 and Mistral
    {"qwen2", RopeStyle::kHalf, true, false},
    {"qwen3", RopeStyle::kHalf, false, true},
};

absl::StatusOr<Family> FindFamily(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string architecture, file.GetString("general.architecture"));
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return family;
  }
  return Unimplemented(file.path() + ": metadata key 'general.architecture': '" +
                       Printable(architecture) +
                       "' is not supported; serve a model of the families llama (Llama, SmolLM2, "
                       "Mistral), qwen2 or qwen3");
}

std::string Key(const ModelConfig& config, std::string_view name) {
  return config.architecture + "." + std::string(name);
}

// Keys, behind the architecture, of features that change the numbers and that this forward pass
// does not compute.
constexpr const char* kUnsupportedKeys[] = {
    "expert_count",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "logit_scale",
    "residual_scale",
    "embedding_scale",
    "final_logit_softcapping",
    "attn_logit_softcapping",
};

absl::Status CheckFeatures(const GgufFile& file, const ModelConfig& config) {
  for (const char* name : kUnsupportedKeys) {
    const std::string key = Key(config, name);
    if (!file.Has(key)) continue;
    const absl::StatusOr<int64_t> integer = file.GetInt(key);
    const absl::StatusOr<double> real = file.GetFloat(key);
    if ((integer.ok() && *integer == 0) || (real.ok() && *real == 0)) continue;
    return Unimplemented(file.path() + ": metadata key '" + key +
                         "': this feature is not supported");
  }
  return absl::OkStatus();
}

absl::Status ReadSizes(const GgufFile& file, ModelConfig* config) {
  const ConfigReader reader(file);
  const std::string hidden = Key(*config, "embedding_length");
  const std::string ffn = Key(*config, "feed_forward_length");
  RETURN_IF_ERROR(reader.ReadInt(Key(*config, "block_count"), kMaxLayers, &config->num_layers));
  RETURN_IF_ERROR(reader.ReadInt(hidden, kMaxWidth, &config->hidden));
  RETURN_IF_ERROR(reader.CheckMultipleOf32(hidden, config->hidden));
  RETURN_IF_ERROR(reader.ReadInt(ffn, kMaxWidth, &config->ffn));
  RETURN_IF_ERROR(reader.CheckMultipleOf32(ffn, config->ffn));
  RETURN_IF_ERROR(
      reader.ReadInt(Key(*config, "context_length"), kMaxContext, &config->context_length));
  const std::string window = Key(*config, "attention.sliding_window");
  const absl::StatusOr<int64_t> stated = file.GetInt(window);
  if (!stated.ok() || *stated != 0) {  // 0: none
    RETURN_IF_ERROR(reader.ReadOptionalInt(window, kMaxContext, &config->sliding_window));
  }
  return reader.ReadFloat(Key(*config, "attention.layer_norm_rms_epsilon"), 0, 1, &config->rms_eps);
}

absl::Status ReadHeads(const GgufFile& file, ModelConfig* config) {
  const std::string heads = Key(*config, "attention.head_count");
  const std::string kv_heads = Key(*config, "attention.head_count_kv");
  const std::string key_length = Key(*config, "attention.key_length");
  const std::string value_length_key = Key(*config, "attention.value_length");
  const ConfigReader reader(file);
  RETURN_IF_ERROR(reader.ReadInt(heads, kMaxHeads, &config->num_q_heads));
  config->num_kv_heads = config->num_q_heads;
  RETURN_IF_ERROR(reader.ReadOptionalInt(kv_heads, kMaxHeads, &config->num_kv_heads));
  if (config->num_q_heads % config->num_kv_heads != 0) {
    return reader.Error(kv_heads, std::to_string(config->num_kv_heads) + " does not divide the " +
                                      std::to_string(config->num_q_heads) + " query heads");
  }
  if (!file.Has(key_length) && config->hidden % config->num_q_heads != 0) {
    return reader.Error(heads, std::to_string(config->num_q_heads) +
                                   " does not divide the embedding length " +
                                   std::to_string(config->hidden));
  }
  config->head_dim = config->hidden / config->num_q_heads;
  RETURN_IF_ERROR(reader.ReadOptionalInt(key_length, kMaxWidth, &config->head_dim));
  if (config->head_dim % 32 != 0 || config->head_dim < 32 || config->head_dim > 256) {
    return reader.Error(
        file.Has(key_length) ? key_length : heads,
        "head size " + std::to_string(config->head_dim) + " must be a multiple of 32 in 32..256");
  }
  int value_length = config->head_dim;
  RETURN_IF_ERROR(reader.ReadOptionalInt(value_length_key, kMaxWidth, &value_length));
  if (value_length != config->head_dim) {
    return reader.Error(value_length_key, std::to_string(value_length) +
                                              " differs from the key length " +
                                              std::to_string(config->head_dim));
  }
  return absl::OkStatus();
}

absl::Status ReadRopeScaling(const GgufFile& file, ModelConfig* config) {
  const std::string type_key = Key(*config, "rope.scaling.type");
  const std::string factor_key = Key(*config, "rope.scaling.factor");
  const std::string old_factor_key = Key(*config, "rope.scale_linear");
  const ConfigReader reader(file);
  if (file.Has(type_key)) {
    ASSIGN_OR_RETURN(const std::string type, file.GetString(type_key));
    if (type == "none") return absl::OkStatus();
    if (type != "linear") {
      return Unimplemented(file.path() + ": metadata key '" + type_key + "': RoPE scaling '" +
                           Printable(type) + "' is not supported, only none and linear");
    }
    return reader.ReadFloat(factor_key, kMinRopeFactor, kMaxRopeFactor,
                            &config->rope_linear_factor);
  }
  if (file.Has(old_factor_key)) {
    return reader.ReadFloat(old_factor_key, kMinRopeFactor, kMaxRopeFactor,
                            &config->rope_linear_factor);
  }
  if (file.Has(factor_key)) return reader.Error(factor_key, "is given without a scaling type");
  return absl::OkStatus();
}

absl::Status ReadRope(const GgufFile& file, ModelConfig* config) {
  const std::string dims_key = Key(*config, "rope.dimension_count");
  const std::string base_key = Key(*config, "rope.freq_base");
  const ConfigReader reader(file);
  int dims = config->head_dim;
  RETURN_IF_ERROR(reader.ReadOptionalInt(dims_key, kMaxWidth, &dims));
  if (dims != config->head_dim) {
    return reader.Error(dims_key, std::to_string(dims) + " differs from the head size " +
                                      std::to_string(config->head_dim));
  }
  config->rope_freq_base = 10'000.0f;
  if (file.Has(base_key))
    RETURN_IF_ERROR(reader.ReadFloat(base_key, 1, 1e12, &config->rope_freq_base));
  RETURN_IF_ERROR(ReadRopeScaling(file, config));

  std::vector<float> divisors(static_cast<size_t>(config->head_dim) / 2, 1.0f);
  config->rope_has_factors = file.FindTensor("rope_freqs.weight") != nullptr;
  if (config->rope_has_factors) {
    ASSIGN_OR_RETURN(divisors, ReadFloatVector(file, "rope_freqs.weight", config->head_dim / 2));
  }
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (divisors[i] >= 1e-6f && divisors[i] < 1e12f) continue;
    return InvalidArgument(file.path() + ": tensor 'rope_freqs.weight': value " +
                           std::to_string(i) + " is not in 1e-6..1e12");
  }
  config->rope_inv_freq =
      RopeFrequencies(static_cast<double>(config->rope_freq_base), config->head_dim, divisors,
                      static_cast<double>(config->rope_linear_factor));
  return absl::OkStatus();
}

// The vocabulary is as large as the embedding table; whatever else states its size must agree.
absl::Status ReadVocabulary(const GgufFile& file, ModelConfig* config) {
  const ConfigReader reader(file);
  const GgufTensor* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr) {
    return InvalidArgument(file.path() + ": tensor 'token_embd.weight': is missing");
  }
  if (embedding->rows() < 1 || embedding->rows() > kMaxVocab) {
    return InvalidArgument(file.path() + ": tensor 'token_embd.weight': shape " +
                           ShapeString(embedding->shape) + " has not 1.." +
                           std::to_string(kMaxVocab) + " rows");
  }
  config->vocab = static_cast<int>(embedding->rows());
  int stated = config->vocab;
  const std::string stated_key = Key(*config, "vocab_size");
  RETURN_IF_ERROR(reader.ReadOptionalInt(stated_key, kMaxVocab, &stated));
  if (stated != config->vocab) {
    return reader.Error(stated_key, std::to_string(stated) +
                                        " differs from the rows of token_embd.weight, " +
                                        std::to_string(config->vocab));
  }
  for (const char* key :
       {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores"}) {
    if (!file.Has(key)) continue;
    ASSIGN_OR_RETURN(const int64_t length, file.GetArrayLength(key));
    if (length != config->vocab) {
      return reader.Error(key, "length " + std::to_string(length) +
                                   " differs from the rows of token_embd.weight, " +
                                   std::to_string(config->vocab));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file) {
  ModelConfig config;
  ASSIGN_OR_RETURN(const Family family, FindFamily(file));
  config.architecture = family.architecture;
  config.rope_style = family.rope_style;
  config.qk_norm = family.qk_norm;
  if (file.Has("general.name")) {
    ASSIGN_OR_RETURN(config.name, file.GetString("general.name"));
    config.name = Printable(config.name);
  }
  RETURN_IF_ERROR(CheckFeatures(file, config));
  RETURN_IF_ERROR(ReadSizes(file, &config));
  RETURN_IF_ERROR(ReadHeads(file, &config));
  RETURN_IF_ERROR(ReadVocabulary(file, &config));
  config.tied_embeddings = file.FindTensor("output.weight") == nullptr;
  config.attention_bias =
      family.always_bias || file.FindTensor(LayerTensorName(0, "attn_q.bias")) != nullptr;
  RETURN_IF_ERROR(CheckTensors(file, config));
  RETURN_IF_ERROR(ReadRope(file, &config));
  return config;
}

}  // namespace intactkv
