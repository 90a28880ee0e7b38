// Writes the seed corpora of the checkpoint fuzzers: per family and type a tiny model's
// model.safetensors and config.json.
#include <cstdio>
#include <filesystem>
#include <string>

#include "engine/model/gguf.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/model_directory_writer.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  using intactkv::TensorType;
  const std::string folder = argv[1];
  std::filesystem::create_directories(folder + "/safetensors");
  std::filesystem::create_directories(folder + "/config");
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
      const auto files = intactkv::test::TinyModelDirectory({.model_type = family, .type = type});
      const std::string name = std::string(family) + "_" + std::string(TensorTypeName(type));
      intactkv::test::WriteBytes(folder + "/safetensors/" + name, files.at("model.safetensors"));
      intactkv::test::WriteBytes(folder + "/config/" + name, files.at("config.json"));
    }
  }
  return 0;
}
