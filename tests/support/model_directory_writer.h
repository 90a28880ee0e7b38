// Hugging Face model directories for tests, as file names with bytes, so that a test can change
// some before they are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/api/tensor.h"

namespace intactkv::test {

struct DirectoryTensor {
  std::string name;            // Hugging Face's
  std::vector<int64_t> shape;  // rows first
  std::vector<float> values;
};

using DirectoryFiles = std::map<std::string, std::vector<std::byte>, std::less<>>;

// config.json, and the tensors in `num_shards` files: one model.safetensors, or
// model-0000N-of-0000M.safetensors and their index. Tensor i goes to shard i % num_shards.
DirectoryFiles BuildModelDirectory(const std::string& config_json,
                                   const std::vector<DirectoryTensor>& tensors, TensorType type,
                                   int num_shards = 1);

// A tiny random model of one layer: hidden 64, 2 query heads and 1 KV head of 32.
struct TinyDirectoryOptions {
  std::string model_type = "llama";  // or "mistral", "qwen2", "qwen3"
  bool tied_embeddings = false;
  TensorType type = TensorType::kF32;
  int num_shards = 1;
  int vocab = 96;
};
DirectoryFiles TinyModelDirectory(const TinyDirectoryOptions& options = {});

// Writes the files into the directory `path`, which is made if it is not there and else keeps
// nothing of what it held. CHECK-fails if it cannot.
void WriteDirectory(const std::string& path, const DirectoryFiles& files);

// Text to and from a file's bytes.
std::vector<std::byte> ToBytes(const std::string& text);
std::string ToText(const std::vector<std::byte>& bytes);
// `files` with the first `from` in file `name` replaced by `to`; CHECK-fails if it is not there.
DirectoryFiles WithText(DirectoryFiles files, const std::string& name, const std::string& from,
                        const std::string& to);

}  // namespace intactkv::test
