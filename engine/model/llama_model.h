// A model of the llama families: its weights as a Backend keeps them, and the forward pass, written
// once against the Backend's phases.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/sampling.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_files.h"
#include "kernels/api/backend.h"
#include "kernels/api/batch.h"

namespace intactkv {

struct LoadProgress {
  int tensors_done = 0, tensors_total = 0;
  int64_t bytes_done = 0, bytes_total = 0;  // of the files' tensor data
};

struct LoadOptions {
  WeightFormat format = WeightFormat::kStored;
  // Called on the loading thread after each tensor; may be empty.
  std::function<void(const LoadProgress&)> progress = nullptr;
};

// Immutable after Load; Thread-compatible: const calls from any thread, Forward as its context
// allows. Does not need the file after Load. Must be destroyed before its Backend.
class LlamaModel {
 public:
  // Loads every tensor of `config` from `files`, one at a time, and keeps none of them in memory.
  // The embedding and the head take HeadFormat(). Errors: those of Backend::LoadLinear, and
  // kInvalidArgument for a norm that is no float vector; each names the tensor. `config` was read
  // from the same files.
  static absl::StatusOr<std::unique_ptr<LlamaModel>> Load(const WeightFiles& files,
                                                          const ModelConfig& config,
                                                          Backend& backend,
                                                          const LoadOptions& options);

  // One step: begin, embed, layers, logits, sample. `samples` and `out` have one entry per row of
  // batch.logits_rows. Errors: those of ComputeContext::Begin, before anything was computed.
  // `context` was made with shape() by the Backend that loaded this model.
  absl::Status Forward(ComputeContext& context, const Batch& batch,
                       std::span<const SampleRow> samples, std::span<SampledToken> out) const;

  const ModelConfig& config() const { return config_; }
  ModelShape shape() const { return MakeModelShape(config_); }
  int64_t weight_bytes() const;  // of everything that this object keeps

  // The formats of the linears, e.g. "210 q4_1, embedding q8_0 (also the head)".
  std::string DescribeFormats() const;
  // The linears whose numbers are not the file's, because they were rounded to int8 or int4 while
  // loading: "14 F32 to int4, 1 F32 to int8"; empty if there are none.
  std::string DescribeRounding() const;

 private:
  struct Layer {
    std::vector<float> attention_norm, mlp_norm;  // [hidden]
    std::vector<float> q_bias, k_bias, v_bias;    // empty or [heads * head_dim]
    std::vector<float> q_norm, k_norm;            // empty or [head_dim]
    std::unique_ptr<Linear> q, k, v, o, gate, up, down;

    AttentionWeights attention() const;
    MlpWeights mlp() const;
    std::vector<const Linear*> linears() const;
  };
  class Loader;

  explicit LlamaModel(const ModelConfig& config) : config_(config) {}
  const Linear& head() const { return head_ != nullptr ? *head_ : *embedding_; }

  ModelConfig config_;
  std::unique_ptr<Linear> embedding_;
  std::unique_ptr<Linear> head_;  // null: tied, the embedding is the head
  std::vector<Layer> layers_;
  std::vector<float> output_norm_;      // [hidden]
  std::map<std::string, int> rounded_;  // "F32 to int4" and the like: how many linears
};

// The format of the embedding and the head where the other linears take `format`: never 4 bits by
// our own rounding (int4, or a float tensor under kStored, become int8).
WeightFormat HeadFormat(WeightFormat format, TensorType type);

}  // namespace intactkv
