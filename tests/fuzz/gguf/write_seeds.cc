// Writes the seed corpus of gguf_fuzz into a folder: one tiny model per tensor type.
#include <algorithm>
#include <cstdio>
#include <string>

#include "engine/model/gguf.h"
#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  using intactkv::TensorType;
  for (const TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
        TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ2_K,
        TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K}) {
    intactkv::test::TinyModelOptions options;
    const int width = std::max(32, intactkv::TensorBlockElements(type));
    options.num_layers = 1;
    options.hidden = width;
    options.ffn = width;
    options.num_q_heads = width / 32;
    options.num_kv_heads = 1;
    options.head_dim = 32;
    options.vocab = 264;
    options.type = type;
    const std::string name(intactkv::TensorTypeName(type));
    intactkv::test::WriteTinyModel(std::string(argv[1]) + "/" + name + ".gguf", options);
  }
  return 0;
}
