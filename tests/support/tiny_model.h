// A tiny random model of a served architecture with a working tokenizer and chat template: the
// whole server runs on it. The same options give the same bytes on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/api/tensor.h"
#include "tests/support/gguf_writer.h"

namespace intactkv::test {

struct TinyModelOptions {
  uint64_t seed = 1;
  int num_layers = 2;
  int hidden = 192;
  int ffn = 256;
  int num_q_heads = 6;
  int num_kv_heads = 2;  // 3 query heads per KV head
  int head_dim = 64;     // q is 384 wide, wider than hidden
  int vocab = 320;       // at least kTinyBaseTokens
  int context_length = 4096;
  std::string architecture = "llama";  // "qwen2" has biases, "qwen3" norms of its heads
  bool tied_embeddings = true;
  bool attention_bias = false;
  TensorType type = TensorType::kF32;  // of the matrices; norms stay F32
  std::vector<TensorType> mix = {};    // if any: the types of the matrices, in turn, for `type`
};

// Every blocked type in one model, whose sizes are multiples of the longest block.
inline TinyModelOptions MixedTinyModel() {
  return {.hidden = 256,
          .num_q_heads = 4,
          .mix = {TensorType::kQ6_K, TensorType::kQ4_K, TensorType::kQ5_0, TensorType::kQ5_K,
                  TensorType::kQ8_0, TensorType::kQ5_1, TensorType::kQ4_0, TensorType::kQ3_K,
                  TensorType::kQ4_1, TensorType::kQ2_K, TensorType::kF16}};
}

// Ids of the special tokens; byte b is id kTinyFirstByte + its rank in GPT-2's byte alphabet.
inline constexpr int kTinyEndOfText = 0;  // <|endoftext|>
inline constexpr int kTinyImStart = 1;    // <|im_start|>, bos
inline constexpr int kTinyImEnd = 2;      // <|im_end|>, eos
inline constexpr int kTinyFirstByte = 3;
inline constexpr int kTinyBaseTokens = 3 + 256;  // then one token per merge, then <|pad_N|>

// Metadata and tensors, so that a test can change some before Build().
GgufWriter TinyModelWriter(const TinyModelOptions& options = {});
std::vector<std::byte> TinyModelBytes(const TinyModelOptions& options = {});
// CHECK-fails if the file cannot be written.
void WriteTinyModel(const std::string& path, const TinyModelOptions& options = {});

}  // namespace intactkv::test
