#include "engine/model/model_config.h"

#include <cmath>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/model/float_vector.h"
#include "engine/model/gguf_parser.h"
#include "engine/model/sha256.h"
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

constexpr int kMaxLayers = 1024;
constexpr int kMaxWidth = 1 << 20;
constexpr int kMaxHeads = 1024;
constexpr int kMaxVocab = 1 << 22;
constexpr int kMaxContext = 1 << 24;

// Keys of features that change the numbers and that this forward pass does not compute.
constexpr const char* kUnsupportedKeys[] = {
    "llama.expert_count",
    "llama.attention.clamp_kqv",
    "llama.attention.max_alibi_bias",
    "llama.attention.sliding_window",
    "llama.attention.scale",
    "llama.logit_scale",
    "llama.residual_scale",
    "llama.embedding_scale",
};

absl::Status CheckFeatures(const GgufFile& file) {
  for (const char* key : kUnsupportedKeys) {
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
  RETURN_IF_ERROR(reader.ReadInt("llama.block_count", kMaxLayers, &config->num_layers));
  RETURN_IF_ERROR(reader.ReadInt("llama.embedding_length", kMaxWidth, &config->hidden));
  RETURN_IF_ERROR(reader.CheckMultipleOf32("llama.embedding_length", config->hidden));
  RETURN_IF_ERROR(reader.ReadInt("llama.feed_forward_length", kMaxWidth, &config->ffn));
  RETURN_IF_ERROR(reader.CheckMultipleOf32("llama.feed_forward_length", config->ffn));
  RETURN_IF_ERROR(reader.ReadInt("llama.context_length", kMaxContext, &config->context_length));
  RETURN_IF_ERROR(
      reader.ReadFloat("llama.attention.layer_norm_rms_epsilon", 0, 1, &config->rms_eps));
  return absl::OkStatus();
}

absl::Status ReadHeads(const GgufFile& file, ModelConfig* config) {
  static constexpr char kHeads[] = "llama.attention.head_count";
  static constexpr char kKvHeads[] = "llama.attention.head_count_kv";
  static constexpr char kKeyLength[] = "llama.attention.key_length";
  static constexpr char kValueLength[] = "llama.attention.value_length";
  const ConfigReader reader(file);
  RETURN_IF_ERROR(reader.ReadInt(kHeads, kMaxHeads, &config->num_q_heads));
  config->num_kv_heads = config->num_q_heads;
  RETURN_IF_ERROR(reader.ReadOptionalInt(kKvHeads, kMaxHeads, &config->num_kv_heads));
  if (config->num_q_heads % config->num_kv_heads != 0) {
    return reader.Error(kKvHeads, std::to_string(config->num_kv_heads) + " does not divide the " +
                                      std::to_string(config->num_q_heads) + " query heads");
  }
  if (!file.Has(kKeyLength) && config->hidden % config->num_q_heads != 0) {
    return reader.Error(kHeads, std::to_string(config->num_q_heads) +
                                    " does not divide the embedding length " +
                                    std::to_string(config->hidden));
  }
  config->head_dim = config->hidden / config->num_q_heads;
  RETURN_IF_ERROR(reader.ReadOptionalInt(kKeyLength, kMaxWidth, &config->head_dim));
  if (config->head_dim % 32 != 0 || config->head_dim < 32 || config->head_dim > 256) {
    return reader.Error(
        file.Has(kKeyLength) ? kKeyLength : kHeads,
        "head size " + std::to_string(config->head_dim) + " must be a multiple of 32 in 32..256");
  }
  int value_length = config->head_dim;
  RETURN_IF_ERROR(reader.ReadOptionalInt(kValueLength, kMaxWidth, &value_length));
  if (value_length != config->head_dim) {
    return reader.Error(kValueLength, std::to_string(value_length) +
                                          " differs from the key length " +
                                          std::to_string(config->head_dim));
  }
  return absl::OkStatus();
}

absl::Status ReadRopeScaling(const GgufFile& file, ModelConfig* config) {
  static constexpr char kType[] = "llama.rope.scaling.type";
  static constexpr char kFactor[] = "llama.rope.scaling.factor";
  static constexpr char kOldFactor[] = "llama.rope.scale_linear";
  const ConfigReader reader(file);
  if (file.Has(kType)) {
    ASSIGN_OR_RETURN(const std::string type, file.GetString(kType));
    if (type == "none") return absl::OkStatus();
    if (type != "linear") {
      return Unimplemented(file.path() + ": metadata key '" + kType + "': RoPE scaling '" +
                           Printable(type) + "' is not supported, only none and linear");
    }
    return reader.ReadFloat(kFactor, 0, 1e6, &config->rope_linear_factor);
  }
  if (file.Has(kOldFactor)) {
    return reader.ReadFloat(kOldFactor, 0, 1e6, &config->rope_linear_factor);
  }
  if (file.Has(kFactor)) return reader.Error(kFactor, "is given without a scaling type");
  return absl::OkStatus();
}

absl::Status ReadRope(const GgufFile& file, ModelConfig* config) {
  static constexpr char kDims[] = "llama.rope.dimension_count";
  static constexpr char kBase[] = "llama.rope.freq_base";
  const ConfigReader reader(file);
  int dims = config->head_dim;
  RETURN_IF_ERROR(reader.ReadOptionalInt(kDims, kMaxWidth, &dims));
  if (dims != config->head_dim) {
    return reader.Error(kDims, std::to_string(dims) + " differs from the head size " +
                                   std::to_string(config->head_dim));
  }
  config->rope_freq_base = 10'000.0f;
  if (file.Has(kBase)) RETURN_IF_ERROR(reader.ReadFloat(kBase, 1, 1e12, &config->rope_freq_base));
  RETURN_IF_ERROR(ReadRopeScaling(file, config));

  const int half = config->head_dim / 2;
  std::vector<float> divisors(static_cast<size_t>(half), 1.0f);
  config->rope_has_factors = file.FindTensor("rope_freqs.weight") != nullptr;
  if (config->rope_has_factors) {
    ASSIGN_OR_RETURN(divisors, ReadFloatVector(file, "rope_freqs.weight", half));
  }
  for (int i = 0; i < half; ++i) {
    const double divisor = static_cast<double>(divisors[static_cast<size_t>(i)]);
    if (!(divisor > 0 && divisor < 1e12)) {
      return InvalidArgument(file.path() + ": tensor 'rope_freqs.weight': value " +
                             std::to_string(i) + " is not a positive number");
    }
    const double frequency = std::pow(static_cast<double>(config->rope_freq_base),
                                      -2.0 * i / static_cast<double>(config->head_dim));
    config->rope_inv_freq.push_back(static_cast<float>(
        frequency / (divisor * static_cast<double>(config->rope_linear_factor))));
  }
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
  RETURN_IF_ERROR(reader.ReadOptionalInt("llama.vocab_size", kMaxVocab, &stated));
  if (stated != config->vocab) {
    return reader.Error("llama.vocab_size", std::to_string(stated) +
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

std::string LayerTensorName(int layer, std::string_view suffix) {
  return "blk." + std::to_string(layer) + "." + std::string(suffix);
}

absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file) {
  ModelConfig config;
  ASSIGN_OR_RETURN(config.architecture, file.GetString("general.architecture"));
  if (config.architecture != "llama") {
    return Unimplemented(file.path() + ": metadata key 'general.architecture': '" +
                         Printable(config.architecture) +
                         "' is not supported, only 'llama' (SmolLM2, Llama)");
  }
  if (file.Has("general.name")) {
    ASSIGN_OR_RETURN(config.name, file.GetString("general.name"));
    config.name = Printable(config.name);
  }
  RETURN_IF_ERROR(CheckFeatures(file));
  RETURN_IF_ERROR(ReadSizes(file, &config));
  RETURN_IF_ERROR(ReadHeads(file, &config));
  RETURN_IF_ERROR(ReadVocabulary(file, &config));
  config.tied_embeddings = file.FindTensor("output.weight") == nullptr;
  config.attention_bias = file.FindTensor(LayerTensorName(0, "attn_q.bias")) != nullptr;
  RETURN_IF_ERROR(CheckTensors(file, config));
  RETURN_IF_ERROR(ReadRope(file, &config));
  return config;
}

ModelShape MakeModelShape(const ModelConfig& config) {
  ModelShape shape;
  shape.num_layers = config.num_layers;
  shape.hidden = config.hidden;
  shape.ffn = config.ffn;
  shape.num_q_heads = config.num_q_heads;
  shape.num_kv_heads = config.num_kv_heads;
  shape.head_dim = config.head_dim;
  shape.vocab = config.vocab;
  shape.rms_eps = config.rms_eps;
  shape.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  shape.rope_style = RopeStyle::kInterleaved;
  shape.rope_inv_freq = config.rope_inv_freq;
  return shape;
}

std::string ModelIdentity(const GgufFile& file, const ModelConfig& config) {
  Sha256 digest;
  digest.Add(config.architecture);
  for (const int value : {config.num_layers, config.hidden, config.ffn, config.num_q_heads,
                          config.num_kv_heads, config.head_dim, config.vocab}) {
    digest.Add(int64_t{value});
  }
  digest.Add(std::as_bytes(std::span(&config.rms_eps, 1)));
  digest.Add(std::as_bytes(std::span(config.rope_inv_freq)));
  for (const GgufTensor& tensor : file.tensors()) {
    digest.Add(tensor.name);
    digest.Add(TensorTypeName(tensor.type));
    for (const int64_t size : tensor.shape) digest.Add(size);
    digest.Add(tensor.data);
  }
  return digest.HexDigest();
}

}  // namespace intactkv
