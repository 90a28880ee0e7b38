#include "engine/checkpoint/directory_config.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/checkpoint/directory_rope.h"
#include "engine/json/json_fields.h"

namespace intactkv {
namespace {

// The families, by model_type.
struct Family {
  std::string_view model_type;
  std::string_view architecture;  // ours
  std::string_view class_name;    // in "architectures"
  bool attention_bias;            // q, k and v always have biases
  bool qk_norm;
  int default_head_dim;    // 0: hidden / heads
  int default_window;      // of Transformers, where the file does not say
  bool window_has_switch;  // use_sliding_window
};
constexpr Family kFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", false, false, 0, 0, false},
    {"mistral", "llama", "MistralForCausalLM", false, false, 0, 4096, false},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", true, false, 0, 4096, true},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", false, true, 128, 4096, true},
};

absl::StatusOr<Family> FindFamily(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const std::string model_type, fields.GetString("model_type"));
  const auto* family = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                    [&](const Family& f) { return f.model_type == model_type; });
  if (family == std::end(kFamilies)) {
    return Unimplemented(fields.Where("model_type") + ": '" + Printable(model_type) +
                         "' is not supported; serve a model of the families llama (Llama, "
                         "SmolLM2), mistral, qwen2 or qwen3");
  }
  if (!fields.Has("architectures")) return *family;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fields.GetStrings("architectures"));
  if (names.size() != 1 || names[0] != family->class_name) {
    return Unimplemented(fields.Where("architectures") + ": '" +
                         Printable(names.empty() ? "" : names[0]) + "' is not supported, only '" +
                         std::string(family->class_name) + "'");
  }
  return *family;
}

absl::Status CheckOff(const JsonFields& fields, const char* key, const char* what) {
  if (!fields.Has(key)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool on, fields.GetBool(key));
  if (!on) return absl::OkStatus();
  return Unimplemented(fields.Where(key) + ": " + what + " are not supported");
}

// What would change the numbers and is not computed.
absl::Status CheckFeatures(const JsonFields& fields, const Family& family) {
  if (fields.Has("quantization_config")) {
    ASSIGN_OR_RETURN(const JsonFields quantization, fields.GetObject("quantization_config"));
    const absl::StatusOr<std::string> method = quantization.GetString("quant_method");
    return Unimplemented(fields.Where("quantization_config") + ": quantized weights (" +
                         (method.ok() ? Printable(*method) : "no quant_method") +
                         ") are not supported; serve the model's float checkpoint or a GGUF file");
  }
  if (fields.Has("hidden_act")) {
    ASSIGN_OR_RETURN(const std::string activation, fields.GetString("hidden_act"));
    if (activation != "silu") {
      return Unimplemented(fields.Where("hidden_act") + ": '" + Printable(activation) +
                           "' is not supported, only 'silu'");
    }
  }
  if (!family.attention_bias) {
    RETURN_IF_ERROR(
        CheckOff(fields, "attention_bias", "biases on all four projections of attention"));
  }
  return CheckOff(fields, "mlp_bias", "biases in the feed-forward block");
}

absl::Status ReadSize(const JsonFields& fields, const char* key, int max, int* out) {
  ASSIGN_OR_RETURN(const int64_t value, fields.GetInt(key, 1, max));
  *out = static_cast<int>(value);
  return absl::OkStatus();
}

absl::Status ReadWidth(const JsonFields& fields, const char* key, int* out) {
  RETURN_IF_ERROR(ReadSize(fields, key, kMaxWidth, out));
  if (*out % 32 == 0) return absl::OkStatus();
  return fields.Error(key, std::to_string(*out) + " must be a multiple of 32");
}

absl::Status ReadSizes(const JsonFields& fields, ModelConfig* config) {
  RETURN_IF_ERROR(ReadSize(fields, "num_hidden_layers", kMaxLayers, &config->num_layers));
  RETURN_IF_ERROR(ReadWidth(fields, "hidden_size", &config->hidden));
  RETURN_IF_ERROR(ReadWidth(fields, "intermediate_size", &config->ffn));
  RETURN_IF_ERROR(ReadSize(fields, "vocab_size", kMaxVocab, &config->vocab));
  RETURN_IF_ERROR(
      ReadSize(fields, "max_position_embeddings", kMaxContext, &config->context_length));
  ASSIGN_OR_RETURN(const double eps, fields.GetFloat("rms_norm_eps", 0, 1));
  config->rms_eps = static_cast<float>(eps);
  if (!fields.Has("tie_word_embeddings")) return absl::OkStatus();
  ASSIGN_OR_RETURN(config->tied_embeddings, fields.GetBool("tie_word_embeddings"));
  return absl::OkStatus();
}

absl::Status ReadHeads(const JsonFields& fields, const Family& family, ModelConfig* config) {
  constexpr char kHeads[] = "num_attention_heads", kKvHeads[] = "num_key_value_heads",
                 kHeadDim[] = "head_dim";
  RETURN_IF_ERROR(ReadSize(fields, kHeads, kMaxHeads, &config->num_q_heads));
  config->num_kv_heads = config->num_q_heads;
  // Only for Llama the number of query heads stands in for a missing one.
  if (fields.Has(kKvHeads) || family.model_type != "llama") {
    RETURN_IF_ERROR(ReadSize(fields, kKvHeads, kMaxHeads, &config->num_kv_heads));
  }
  if (config->num_q_heads % config->num_kv_heads != 0) {
    return fields.Error(kKvHeads, std::to_string(config->num_kv_heads) + " does not divide the " +
                                      std::to_string(config->num_q_heads) + " query heads");
  }
  const bool stated = fields.Has(kHeadDim);
  if (stated) {
    RETURN_IF_ERROR(ReadSize(fields, kHeadDim, kMaxWidth, &config->head_dim));
  } else if (family.default_head_dim != 0) {
    config->head_dim = family.default_head_dim;
  } else if (config->hidden % config->num_q_heads != 0) {
    return fields.Error(kHeads, std::to_string(config->num_q_heads) +
                                    " does not divide the hidden size " +
                                    std::to_string(config->hidden));
  } else {
    config->head_dim = config->hidden / config->num_q_heads;
  }
  if (config->head_dim % 32 != 0 || config->head_dim > 256) {
    return fields.Error(
        stated ? kHeadDim : kHeads,
        "head size " + std::to_string(config->head_dim) + " must be a multiple of 32 in 32..256");
  }
  return absl::OkStatus();
}

// True if "layer_types" has a layer of a sliding window.
absl::StatusOr<bool> ReadLayerTypes(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const std::vector<std::string> types, fields.GetStrings("layer_types"));
  bool sliding = false;
  for (const std::string& type : types) {
    sliding = sliding || type == "sliding_attention";
    if (type != "full_attention" && type != "sliding_attention") {
      return Unimplemented(fields.Where("layer_types") + ": '" + Printable(type) +
                           "' is not supported, only full_attention and sliding_attention");
    }
  }
  return sliding;
}

absl::Status ReadWindow(const JsonFields& fields, const Family& family, ModelConfig* config) {
  if (fields.Has("layer_types")) {
    ASSIGN_OR_RETURN(const bool sliding, ReadLayerTypes(fields));
    if (!sliding) return absl::OkStatus();
  } else if (family.window_has_switch) {
    if (!fields.Has("use_sliding_window")) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool on, fields.GetBool("use_sliding_window"));
    if (!on) return absl::OkStatus();
  }
  // null means none, a missing key means what Transformers takes for it.
  if (fields.IsNull("sliding_window")) return absl::OkStatus();
  config->sliding_window = family.default_window;
  if (!fields.Has("sliding_window")) return absl::OkStatus();
  return ReadSize(fields, "sliding_window", kMaxContext, &config->sliding_window);
}

}  // namespace

absl::StatusOr<ModelConfig> ReadDirectoryConfig(const std::string& path, std::string_view text) {
  ASSIGN_OR_RETURN(const auto object, ParseJsonFile(path, text, {}));
  const JsonFields fields(object, path);
  ASSIGN_OR_RETURN(const Family family, FindFamily(fields));
  ModelConfig config;
  config.architecture = family.architecture;
  config.attention_bias = family.attention_bias;
  config.qk_norm = family.qk_norm;
  config.rope_style = RopeStyle::kHalf;
  RETURN_IF_ERROR(CheckFeatures(fields, family));
  RETURN_IF_ERROR(ReadSizes(fields, &config));
  RETURN_IF_ERROR(ReadHeads(fields, family, &config));
  RETURN_IF_ERROR(ReadWindow(fields, family, &config));
  RETURN_IF_ERROR(ReadDirectoryRope(fields, &config));
  return config;
}

}  // namespace intactkv
