// What a model's files say about its shape: read once, checked against the tensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/tensor_names.h"
#include "engine/model/weight_files.h"
#include "kernels/api/backend.h"

namespace intactkv {

class GgufFile;

// Limits; a model beyond one of them is refused.
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxWidth = 1 << 20;
inline constexpr int kMaxHeads = 1024;
inline constexpr int kMaxVocab = 1 << 22;
inline constexpr int kMaxContext = 1 << 24;

// Plain values; every field was checked by whoever read it from the files.
struct ModelConfig {
  std::string architecture;  // "llama" (Llama, SmolLM2, Mistral), "qwen2", "qwen3"
  std::string name;          // general.name, or empty
  int num_layers = 0;        // 1..1024
  int hidden = 0;            // multiple of 32, at most 2^20
  int ffn = 0;               // multiple of 32, at most 2^20
  int num_q_heads = 0;       // 1..1024, a multiple of num_kv_heads
  int num_kv_heads = 0;
  int head_dim = 0;        // multiple of 32 in [32, 256]; q is num_q_heads * head_dim wide
  int vocab = 0;           // 1..2^22
  int context_length = 0;  // positions that the model was trained for, 1..2^24
  float rms_eps = 0;       // (0, 1)
  float rope_freq_base = 0;
  float rope_linear_factor = 1;                    // 1: no scaling
  bool rope_has_factors = false;                   // one divisor per frequency (Llama 3)
  RopeStyle rope_style = RopeStyle::kInterleaved;  // as the q and k rows of the files want it
  std::vector<float> rope_inv_freq;                // [head_dim / 2], scaling and divisors applied
  bool tied_embeddings = false;                    // the head is token_embd.weight
  bool attention_bias = false;                     // q, k and v have biases, in every layer
  bool qk_norm = false;  // each q and k head has an RMSNorm before RoPE, in every layer
  // A position attends to this many tokens, itself included; 0: to all. Served contexts are no
  // longer (CheckContext).
  int sliding_window = 0;

  int q_width() const { return num_q_heads * head_dim; }
  int kv_width() const { return num_kv_heads * head_dim; }
};

// Reads a GGUF file of one of our families and checks that its tensors are exactly the ones that
// the configuration needs, each with its shape. Errors, one line that names the key or tensor:
// kInvalidArgument (missing, out of range, contradicting), kUnimplemented (another architecture or
// a feature that would change the numbers: RoPE scaling other than none and linear, experts, ...).
absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file);

ModelShape MakeModelShape(const ModelConfig& config);

// SHA-256 (hex) of what decides the numbers: configuration, names, types, shapes and data of the
// model's tensors, however they lie in files. Reads them all once.
std::string ModelIdentity(const WeightFiles& files, const ModelConfig& config);

// kUnimplemented, saying what to do, if answers in a context of `context` tokens would differ from
// the model's own.
absl::Status CheckContext(const WeightFiles& files, const ModelConfig& config, int64_t context);

}  // namespace intactkv
