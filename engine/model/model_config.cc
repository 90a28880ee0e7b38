#include "engine/model/model_config.h"

#include <cmath>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/gguf.h"
#include "engine/model/sha256.h"
#include "engine/model/tensor_check.h"

namespace intactkv {

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
  shape.rope_style = config.rope_style;
  shape.rope_inv_freq = config.rope_inv_freq;
  return shape;
}

std::string ModelIdentity(const WeightFiles& files, const ModelConfig& config) {
  Sha256 digest;
  digest.Add(config.architecture);
  for (const int value :
       {config.num_layers, config.hidden, config.ffn, config.num_q_heads, config.num_kv_heads,
        config.head_dim, config.vocab, static_cast<int>(config.rope_style)}) {
    digest.Add(int64_t{value});
  }
  digest.Add(std::as_bytes(std::span(&config.rms_eps, 1)));
  digest.Add(std::as_bytes(std::span(config.rope_inv_freq)));
  for (const TensorNeed& need : TensorsOf(config)) {
    const WeightTensor* tensor = files.FindTensor(need.name);
    CHECK(tensor != nullptr) << need.name;
    digest.Add(tensor->name);
    digest.Add(TensorTypeName(tensor->type));
    for (const int64_t size : tensor->shape) digest.Add(size);
    digest.Add(tensor->data);
    files.Discard(*tensor);
  }
  return digest.HexDigest();
}

absl::Status CheckContext(const WeightFiles& files, const ModelConfig& config, int64_t context) {
  if (config.sliding_window == 0 || context <= config.sliding_window) return absl::OkStatus();
  return Unimplemented(files.path() + ": the model attends to a sliding window of " +
                       std::to_string(config.sliding_window) + " tokens, which is not supported; " +
                       "serve contexts that it covers: --max-model-len " +
                       std::to_string(config.sliding_window));
}

}  // namespace intactkv
