#include "tests/support/model_directory_writer.h"

#include <filesystem>
#include <span>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/safetensors_writer.h"

namespace intactkv::test {
namespace {

std::string ShardName(int shard, int num_shards) {
  if (num_shards == 1) return "model.safetensors";
  const auto five = [](int number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - digits.size(), '0') + digits;
  };
  return "model-" + five(shard + 1) + "-of-" + five(num_shards) + ".safetensors";
}

std::string Index(const std::vector<DirectoryTensor>& tensors, int num_shards) {
  std::string map;
  for (size_t i = 0; i < tensors.size(); ++i) {
    map += (i == 0 ? "\"" : ", \"") + tensors[i].name + "\": \"" +
           ShardName(static_cast<int>(i) % num_shards, num_shards) + "\"";
  }
  return R"({"metadata": {"total_size": 1}, "weight_map": {)" + map + "}}";
}

std::string TinyConfig(const TinyDirectoryOptions& options) {
  static constexpr std::pair<const char*, const char*> kClasses[] = {
      {"llama", "LlamaForCausalLM"},
      {"mistral", "MistralForCausalLM"},
      {"qwen2", "Qwen2ForCausalLM"},
      {"qwen3", "Qwen3ForCausalLM"}};
  std::string class_name;
  for (const auto& [model_type, name] : kClasses) {
    if (options.model_type == model_type) class_name = name;
  }
  return R"({"architectures": [")" + class_name + R"("], "model_type": ")" + options.model_type +
         R"(", "num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 96,)" +
         R"( "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,)" +
         R"( "vocab_size": )" + std::to_string(options.vocab) +
         R"(, "max_position_embeddings": 512, "rms_norm_eps": 1e-05,)" +
         R"( "rope_theta": 10000.0, "rope_scaling": null, "hidden_act": "silu",)" +
         R"( "sliding_window": null, "eos_token_id": 2, "torch_dtype": "float32",)" +
         R"( "tie_word_embeddings": )" + (options.tied_embeddings ? "true" : "false") + "}";
}

std::vector<DirectoryTensor> TinyTensors(const TinyDirectoryOptions& options) {
  std::vector<DirectoryTensor> out;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    std::vector<float> values(count);
    Rng rng(out.size() + 1);
    for (float& v : values) v = static_cast<float>(rng.Unit() * 0.25 - 0.125);
    out.push_back({name, std::move(shape), std::move(values)});
  };
  const std::string layer = "model.layers.0.";
  add("model.embed_tokens.weight", {options.vocab, 64});
  add(layer + "input_layernorm.weight", {64});
  for (const auto& [name, rows] :
       {std::pair<const char*, int64_t>{"q", 64}, {"k", 32}, {"v", 32}}) {
    const std::string projection = layer + "self_attn." + name + "_proj.";
    add(projection + "weight", {rows, 64});
    if (options.model_type == "qwen2") add(projection + "bias", {rows});
  }
  if (options.model_type == "qwen3") {
    add(layer + "self_attn.q_norm.weight", {32});
    add(layer + "self_attn.k_norm.weight", {32});
  }
  add(layer + "self_attn.o_proj.weight", {64, 64});
  add(layer + "post_attention_layernorm.weight", {64});
  add(layer + "mlp.gate_proj.weight", {96, 64});
  add(layer + "mlp.up_proj.weight", {96, 64});
  add(layer + "mlp.down_proj.weight", {64, 96});
  add("model.norm.weight", {64});
  if (!options.tied_embeddings) add("lm_head.weight", {options.vocab, 64});
  return out;
}

}  // namespace

DirectoryFiles BuildModelDirectory(const std::string& config_json,
                                   const std::vector<DirectoryTensor>& tensors, TensorType type,
                                   int num_shards) {
  DirectoryFiles files;
  files["config.json"] = ToBytes(config_json);
  for (int shard = 0; shard < num_shards; ++shard) {
    SafetensorsWriter writer;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (static_cast<int>(i) % num_shards != shard) continue;
      writer.AddTensor(tensors[i].name, type, tensors[i].shape, tensors[i].values);
    }
    files[ShardName(shard, num_shards)] = writer.Build().bytes;
  }
  if (num_shards > 1) files["model.safetensors.index.json"] = ToBytes(Index(tensors, num_shards));
  return files;
}

DirectoryFiles TinyModelDirectory(const TinyDirectoryOptions& options) {
  return BuildModelDirectory(TinyConfig(options), TinyTensors(options), options.type,
                             options.num_shards);
}

void WriteDirectory(const std::string& path, const DirectoryFiles& files) {
  std::filesystem::remove_all(path);
  CHECK(std::filesystem::create_directories(path)) << path;
  for (const auto& [name, bytes] : files) WriteBytes(path + "/" + name, bytes);
}

std::vector<std::byte> ToBytes(const std::string& text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string ToText(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

DirectoryFiles WithText(DirectoryFiles files, const std::string& name, const std::string& from,
                        const std::string& to) {
  std::string text = ToText(files.at(name));
  const size_t at = text.find(from);
  CHECK(at != std::string::npos) << name << " has no " << from;
  files[name] = ToBytes(text.replace(at, from.size(), to));
  return files;
}

}  // namespace intactkv::test
