// What a weight file says about its model's shape: read once, checked against the tensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/gguf.h"
#include "kernels/api/backend.h"

namespace intactkv {

// Plain values; every field was checked by ReadModelConfig.
struct ModelConfig {
  std::string architecture;  // "llama"
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
  float rope_linear_factor = 1;      // 1: no scaling
  bool rope_has_factors = false;     // rope_freqs.weight: one divisor per frequency (Llama 3)
  std::vector<float> rope_inv_freq;  // [head_dim / 2], scaling and divisors applied
  bool tied_embeddings = false;      // no output.weight: the head is token_embd.weight
  bool attention_bias = false;       // q, k and v have biases, in every layer

  int q_width() const { return num_q_heads * head_dim; }
  int kv_width() const { return num_kv_heads * head_dim; }
};

// Reads a llama-family file (SmolLM2, Llama) and checks that its tensors are exactly the ones that
// the configuration needs, each with its shape. Errors, one line that names the key or tensor:
// kInvalidArgument (missing, out of range, contradicting), kUnimplemented (another architecture or
// a feature that would change the numbers: RoPE scaling other than none and linear, experts, ...).
absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file);

// GGUF holds the q and k rows of this family permuted: RoPE pairs neighbours (2i, 2i + 1).
ModelShape MakeModelShape(const ModelConfig& config);

// SHA-256 (hex) of what decides the numbers: configuration, tensor names, types, shapes and data.
// Reads the whole file once.
std::string ModelIdentity(const GgufFile& file, const ModelConfig& config);

// Names of the tensors of layer `layer`: "blk.3.attn_q.weight" for ("attn_q.weight").
std::string LayerTensorName(int layer, std::string_view suffix);

}  // namespace intactkv
