// The forward pass of the llama and qwen families in double precision, whole sequence at once, no
// pages, no backend: the oracle for LlamaModel. Follows the architecture's papers, not our code:
// Touvron et al. 2023 (arXiv:2302.13971), Zhang and Sennrich 2019 (RMSNorm, arXiv:1910.07467), Su
// et al. 2021 (RoPE, arXiv:2104.09864), Shazeer 2020 (SwiGLU, arXiv:2002.05202).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"

namespace intactkv::test {

// Logits of every position, [tokens, vocab], from the file's dequantized values. O(tokens^2).
std::vector<double> ReferenceLogits(const GgufFile& file, const ModelConfig& config,
                                    std::span<const int32_t> tokens);

// Also the queries and keys (both after RoPE) and values of every layer: [layers][tokens][heads *
// head_dim].
struct ReferenceRun {
  std::vector<double> logits;
  std::vector<std::vector<double>> queries, keys, values;
};
ReferenceRun RunReference(const GgufFile& file, const ModelConfig& config,
                          std::span<const int32_t> tokens);

}  // namespace intactkv::test
