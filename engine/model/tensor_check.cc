#include "engine/model/tensor_check.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

void AddLayer(const ModelConfig& config, int layer, std::vector<TensorNeed>* out) {
  const auto add = [&](std::string_view suffix, int64_t cols, int64_t rows) {
    out->push_back({LayerTensorName(layer, suffix), cols, rows});
  };
  add("attn_norm.weight", config.hidden, 0);
  add("attn_q.weight", config.hidden, config.q_width());
  add("attn_k.weight", config.hidden, config.kv_width());
  add("attn_v.weight", config.hidden, config.kv_width());
  if (config.attention_bias) {
    add("attn_q.bias", config.q_width(), 0);
    add("attn_k.bias", config.kv_width(), 0);
    add("attn_v.bias", config.kv_width(), 0);
  }
  if (config.qk_norm) {
    add("attn_q_norm.weight", config.head_dim, 0);
    add("attn_k_norm.weight", config.head_dim, 0);
  }
  add("attn_output.weight", config.q_width(), config.hidden);
  add("ffn_norm.weight", config.hidden, 0);
  add("ffn_gate.weight", config.hidden, config.ffn);
  add("ffn_up.weight", config.hidden, config.ffn);
  add("ffn_down.weight", config.ffn, config.hidden);
}

}  // namespace

std::vector<TensorNeed> TensorsOf(const ModelConfig& config) {
  std::vector<TensorNeed> out;
  out.push_back({"token_embd.weight", config.hidden, config.vocab});
  for (int layer = 0; layer < config.num_layers; ++layer) AddLayer(config, layer, &out);
  out.push_back({"output_norm.weight", config.hidden, 0});
  if (!config.tied_embeddings) out.push_back({"output.weight", config.hidden, config.vocab});
  return out;
}

absl::Status CheckTensors(const WeightFiles& files, const ModelConfig& config) {
  std::set<std::string> known = {"rope_freqs.weight"};  // checked where it is read
  for (TensorNeed& need : TensorsOf(config)) {
    const std::string where = files.Where(need.name);
    const WeightTensor* tensor = files.FindTensor(need.name);
    if (tensor == nullptr) return InvalidArgument(where + ": is missing");
    const std::vector<int64_t> wanted = need.rows == 0 ? std::vector<int64_t>{need.cols}
                                                       : std::vector<int64_t>{need.cols, need.rows};
    // Trailing sizes of 1 say nothing.
    std::vector<int64_t> shape = tensor->shape;
    while (shape.size() > wanted.size() && shape.back() == 1) shape.pop_back();
    if (shape != wanted) {
      return InvalidArgument(where + ": shape " + files.DescribeShape(tensor->shape) + " must be " +
                             files.DescribeShape(wanted) + " for this configuration");
    }
    known.insert(std::move(need.name));
  }
  for (const WeightTensor& tensor : files.tensors()) {
    if (known.count(tensor.name) == 0) {
      return InvalidArgument(files.Where(tensor.name) + ": is not part of a " +
                             config.architecture + " model with " +
                             std::to_string(config.num_layers) + " layers");
    }
  }
  return absl::OkStatus();
}

}  // namespace intactkv
