// Writes the seeds of gguf_fuzz, safetensors_fuzz and config_fuzz into a folder: small models of
// every family and tensor type.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/model/gguf.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/model_directory_writer.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/tiny_model.h"

namespace intactkv::test {
namespace {

constexpr TensorType kFloats[] = {TensorType::kF32, TensorType::kF16, TensorType::kBF16};

// The vocabulary makes most of such a file, and cannot be smaller.
TinyModelOptions Small(const std::string& architecture) {
  return {.num_layers = 1,
          .hidden = 32,
          .ffn = 32,
          .num_q_heads = 1,
          .num_kv_heads = 1,
          .head_dim = 32,
          .vocab = kTinyBaseTokens,
          .architecture = architecture,
          .type = TensorType::kQ4_0};
}

void WriteGguf(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    WriteTinyModel(folder + "/" + architecture, Small(architecture));
  }
  // Every type, with little around it.
  GgufWriter writer;
  writer.AddString("general.architecture", "llama");
  writer.AddFloat32Array("f", {1.0f, -1.0f});
  writer.AddInt32Array("i", {1, -1});
  writer.AddStringArray("s", {"", "text"});
  for (const TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
        TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ2_K,
        TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K}) {
    writer.AddTensor("blk.0." + std::string(TensorTypeName(type)), type, {256, 1},
                     std::vector<float>(256, 0.5f));
  }
  WriteBytes(folder + "/every_type", writer.Build().bytes);
}

void WriteSafetensors(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const TensorType type : kFloats) {
    SafetensorsWriter writer;
    writer.AddTensor("model.norm.weight", type, {8}, std::vector<float>(8, 1.0f));
    writer.AddTensor("model.layers.0.mlp.up_proj.weight", type, {4, 6}, std::vector<float>(24));
    writer.AddTensor("a", type, {1, 2, 1, 3}, std::vector<float>(6));
    WriteBytes(folder + "/" + std::string(TensorTypeName(type)), writer.Build().bytes);
  }
  WriteBytes(folder + "/metadata",
             SafetensorsBytes(R"({"__metadata__":{"format":"pt"},"t":{"dtype":"F32",)"
                              R"("shape":[1],"data_offsets":[0,4]}}   )",
                              std::vector<std::byte>(4)));
}

void WriteConfigs(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    WriteBytes(folder + "/" + family, TinyModelDirectory({.model_type = family}).at("config.json"));
  }
  const DirectoryFiles llama3 =
      WithText(TinyModelDirectory(), "config.json", R"("rope_scaling": null)",
               R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,)"
               R"("high_freq_factor": 4.0, "original_max_position_embeddings": 64})");
  WriteBytes(folder + "/llama3_rope", llama3.at("config.json"));
}

}  // namespace
}  // namespace intactkv::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1];
  intactkv::test::WriteGguf(folder + "/gguf_fuzz");
  intactkv::test::WriteSafetensors(folder + "/safetensors_fuzz");
  intactkv::test::WriteConfigs(folder + "/config_fuzz");
  return 0;
}
