#include "engine/model/llama_model.h"

#include <map>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/float_vector.h"
#include "engine/model/gguf.h"
#include "engine/model/tensor_check.h"

namespace intactkv {
namespace {

bool IsFloat(TensorType type) { return TensorBlockElements(type) == 1; }

int64_t VectorBytes(const std::vector<float>& values) {
  return static_cast<int64_t>(values.size() * sizeof(float));
}

}  // namespace

WeightFormat HeadFormat(WeightFormat format, TensorType type) {
  const bool rounds_to_int4 =
      format == WeightFormat::kInt4 || (format == WeightFormat::kStored && IsFloat(type));
  return rounds_to_int4 ? WeightFormat::kInt8 : format;
}

// Loads one tensor after the other and reports each. Lives for one Load.
class LlamaModel::Loader {
 public:
  Loader(const WeightFiles& files, const ModelConfig& config, Backend& backend,
         const LoadOptions& options)
      : files_(files), config_(config), backend_(backend), options_(options) {
    for (const TensorNeed& need : TensorsOf(config)) {
      const WeightTensor* tensor = files.FindTensor(need.name);
      CHECK(tensor != nullptr) << need.name;  // whoever read the configuration checked them
      ++progress_.tensors_total;
      progress_.bytes_total += static_cast<int64_t>(tensor->data.size());
    }
  }

  absl::Status LoadInto(LlamaModel* model) {
    ASSIGN_OR_RETURN(model->embedding_, LoadLinear("token_embd.weight", /*is_head=*/true));
    for (int i = 0; i < config_.num_layers; ++i) {
      ASSIGN_OR_RETURN(Layer layer, LoadLayer(i));
      model->layers_.push_back(std::move(layer));
    }
    ASSIGN_OR_RETURN(model->output_norm_, LoadVector("output_norm.weight", config_.hidden));
    if (!config_.tied_embeddings) {
      ASSIGN_OR_RETURN(model->head_, LoadLinear("output.weight", /*is_head=*/true));
    }
    model->rounded_ = std::move(rounded_);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<Layer> LoadLayer(int index) {
    const auto name = [index](std::string_view suffix) { return LayerTensorName(index, suffix); };
    Layer layer;
    ASSIGN_OR_RETURN(layer.attention_norm, LoadVector(name("attn_norm.weight"), config_.hidden));
    ASSIGN_OR_RETURN(layer.q, LoadLinear(name("attn_q.weight")));
    ASSIGN_OR_RETURN(layer.k, LoadLinear(name("attn_k.weight")));
    ASSIGN_OR_RETURN(layer.v, LoadLinear(name("attn_v.weight")));
    if (config_.attention_bias) {
      ASSIGN_OR_RETURN(layer.q_bias, LoadVector(name("attn_q.bias"), config_.q_width()));
      ASSIGN_OR_RETURN(layer.k_bias, LoadVector(name("attn_k.bias"), config_.kv_width()));
      ASSIGN_OR_RETURN(layer.v_bias, LoadVector(name("attn_v.bias"), config_.kv_width()));
    }
    if (config_.qk_norm) {
      ASSIGN_OR_RETURN(layer.q_norm, LoadVector(name("attn_q_norm.weight"), config_.head_dim));
      ASSIGN_OR_RETURN(layer.k_norm, LoadVector(name("attn_k_norm.weight"), config_.head_dim));
    }
    ASSIGN_OR_RETURN(layer.o, LoadLinear(name("attn_output.weight")));
    ASSIGN_OR_RETURN(layer.mlp_norm, LoadVector(name("ffn_norm.weight"), config_.hidden));
    ASSIGN_OR_RETURN(layer.gate, LoadLinear(name("ffn_gate.weight")));
    ASSIGN_OR_RETURN(layer.up, LoadLinear(name("ffn_up.weight")));
    ASSIGN_OR_RETURN(layer.down, LoadLinear(name("ffn_down.weight")));
    return layer;
  }

  absl::StatusOr<std::unique_ptr<Linear>> LoadLinear(const std::string& name,
                                                     bool is_head = false) {
    const WeightTensor* tensor = files_.FindTensor(name);
    CHECK(tensor != nullptr) << name;
    LinearSpec spec;
    spec.tensor = files_.ToHostTensor(*tensor);
    spec.format = is_head ? HeadFormat(options_.format, tensor->type) : options_.format;
    ASSIGN_OR_RETURN(std::unique_ptr<Linear> linear, backend_.LoadLinear(spec));
    const std::string format(linear->format_name());
    if (format == "int4" || format == "int8") {
      ++rounded_[std::string(TensorTypeName(tensor->type)) + " to " + format];
    }
    Report(*tensor);
    return linear;
  }

  absl::StatusOr<std::vector<float>> LoadVector(const std::string& name, int size) {
    ASSIGN_OR_RETURN(std::vector<float> values, ReadFloatVector(files_, name, size));
    Report(*files_.FindTensor(name));
    return values;
  }

  // One tensor of the files at a time stays in memory.
  void Report(const WeightTensor& tensor) {
    files_.Discard(tensor);
    ++progress_.tensors_done;
    progress_.bytes_done += static_cast<int64_t>(tensor.data.size());
    if (options_.progress) options_.progress(progress_);
  }

  const WeightFiles& files_;
  const ModelConfig& config_;
  Backend& backend_;
  const LoadOptions& options_;
  LoadProgress progress_;
  std::map<std::string, int> rounded_;
};

AttentionWeights LlamaModel::Layer::attention() const {
  AttentionWeights weights;
  weights.norm = attention_norm;
  weights.q = q.get();
  weights.k = k.get();
  weights.v = v.get();
  weights.q_bias = q_bias;
  weights.k_bias = k_bias;
  weights.v_bias = v_bias;
  weights.q_norm = q_norm;
  weights.k_norm = k_norm;
  weights.o = o.get();
  return weights;
}

MlpWeights LlamaModel::Layer::mlp() const {
  MlpWeights weights;
  weights.norm = mlp_norm;
  weights.gate = gate.get();
  weights.up = up.get();
  weights.down = down.get();
  return weights;
}

std::vector<const Linear*> LlamaModel::Layer::linears() const {
  return {q.get(), k.get(), v.get(), o.get(), gate.get(), up.get(), down.get()};
}

absl::StatusOr<std::unique_ptr<LlamaModel>> LlamaModel::Load(const WeightFiles& files,
                                                             const ModelConfig& config,
                                                             Backend& backend,
                                                             const LoadOptions& options) {
  std::unique_ptr<LlamaModel> model(new LlamaModel(config));
  RETURN_IF_ERROR(Loader(files, config, backend, options).LoadInto(model.get()));
  return model;
}

absl::Status LlamaModel::Forward(ComputeContext& context, const Batch& batch,
                                 std::span<const SampleRow> samples,
                                 std::span<SampledToken> out) const {
  CHECK_EQ(samples.size(), batch.logits_rows.size());
  CHECK_EQ(out.size(), batch.logits_rows.size());
  RETURN_IF_ERROR(context.Begin(batch));
  context.Embed(*embedding_);
  for (int i = 0; i < config_.num_layers; ++i) {
    const Layer& layer = layers_[static_cast<size_t>(i)];
    const AttentionWeights attention = layer.attention();
    context.QkvAppend(i, attention);
    context.Attention(i);
    context.OutProj(attention);
    context.Mlp(layer.mlp());
  }
  context.Logits(output_norm_, head());
  context.Sample(samples, out);
  return absl::OkStatus();
}

int64_t LlamaModel::weight_bytes() const {
  size_t bytes = embedding_->bytes() + (head_ != nullptr ? head_->bytes() : 0);
  int64_t vectors = VectorBytes(output_norm_);
  for (const Layer& layer : layers_) {
    for (const Linear* linear : layer.linears()) bytes += linear->bytes();
    for (const std::vector<float>* values :
         {&layer.attention_norm, &layer.mlp_norm, &layer.q_bias, &layer.k_bias, &layer.v_bias,
          &layer.q_norm, &layer.k_norm}) {
      vectors += VectorBytes(*values);
    }
  }
  return static_cast<int64_t>(bytes) + vectors;
}

std::string LlamaModel::DescribeFormats() const {
  std::map<std::string, int> counts;
  for (const Layer& layer : layers_) {
    for (const Linear* linear : layer.linears()) ++counts[std::string(linear->format_name())];
  }
  std::string out;
  for (const auto& [format, count] : counts) {
    out += std::to_string(count) + " " + format + ", ";
  }
  out += "embedding " + std::string(embedding_->format_name());
  out += head_ == nullptr ? " (also the head)" : ", head " + std::string(head_->format_name());
  return out;
}

std::string LlamaModel::DescribeRounding() const {
  std::string out;
  for (const auto& [what, count] : rounded_) {
    out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  }
  return out;
}

}  // namespace intactkv
