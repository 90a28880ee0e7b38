#include "tests/golden/families/family_files.h"

#include <cmath>
#include <utility>

#include "engine/base/check.h"
#include "engine/checkpoint/directory_config.h"
#include "engine/model/tensor_names.h"
#include "tests/support/exact_blocks.h"

namespace intactkv::test {
namespace {

// Row 2i + j of a head becomes what was row i + j * half: neighbours for RoPE. As
// LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py.
std::vector<float> Permuted(const std::vector<float>& values, int64_t cols, int64_t head_dim) {
  std::vector<float> out;
  out.reserve(values.size());
  const int64_t rows = static_cast<int64_t>(values.size()) / cols;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t in_head = row % head_dim;
    const int64_t source = row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
    const auto from = values.begin() + source * cols;
    out.insert(out.end(), from, from + cols);
  }
  return out;
}

void AddShape(const ModelConfig& config, GgufWriter* writer) {
  const std::string& a = config.architecture;
  const auto add = [&](const char* key, int value) {
    writer->AddUint32(a + "." + key, static_cast<uint32_t>(value));
  };
  writer->AddString("general.architecture", a);
  add("block_count", config.num_layers);
  add("context_length", config.context_length);
  add("embedding_length", config.hidden);
  add("feed_forward_length", config.ffn);
  add("attention.head_count", config.num_q_heads);
  add("attention.head_count_kv", config.num_kv_heads);
  add("attention.key_length", config.head_dim);
  add("attention.value_length", config.head_dim);
  writer->AddFloat32(a + ".rope.freq_base", config.rope_freq_base);
  writer->AddFloat32(a + ".attention.layer_norm_rms_epsilon", config.rms_eps);
  if (config.sliding_window != 0) add("attention.sliding_window", config.sliding_window);
  if (config.rope_linear_factor != 1.0f) {
    writer->AddString(a + ".rope.scaling.type", "linear");
    writer->AddFloat32(a + ".rope.scaling.factor", config.rope_linear_factor);
  }
}

// What config.json's scaling divides each frequency by, found from the frequencies themselves.
void AddRopeDivisors(const ModelConfig& config, GgufWriter* writer) {
  if (!config.rope_has_factors) return;
  std::vector<float> divisors;
  for (size_t i = 0; i < config.rope_inv_freq.size(); ++i) {
    const double frequency = std::pow(static_cast<double>(config.rope_freq_base),
                                      -2.0 * static_cast<double>(i) / config.head_dim);
    divisors.push_back(
        static_cast<float>(frequency / static_cast<double>(config.rope_inv_freq[i])));
  }
  writer->AddTensor("rope_freqs.weight", TensorType::kF32, {divisors.size()}, divisors);
}

}  // namespace

DirectoryFiles FamilyDirectory(const FamilyCase& family, const FamilyFormat& format) {
  std::vector<DirectoryTensor> tensors;
  for (const NamedShape& tensor : family.tensors) {
    tensors.push_back({tensor.name, tensor.shape, FamilyWeights(family, tensor)});
  }
  return BuildModelDirectory(family.config_json, tensors, format.type, format.num_shards);
}

GgufWriter FamilyGguf(const FamilyCase& family, TensorType type) {
  const absl::StatusOr<ModelConfig> config = ReadDirectoryConfig("config.json", family.config_json);
  CHECK(config.ok()) << std::string(config.status().message());
  GgufWriter writer;
  AddShape(*config, &writer);
  for (const NamedShape& tensor : family.tensors) {
    const std::string name = FromHuggingFaceName(tensor.name).value();
    std::vector<float> values = FamilyWeights(family, tensor);
    const bool is_qk = name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight");
    if (is_qk && config->architecture == "llama") {
      values = Permuted(values, tensor.shape[1], config->head_dim);
    }
    const std::vector<uint64_t> shape(tensor.shape.rbegin(), tensor.shape.rend());
    if (shape.size() == 1) {
      writer.AddTensor(name, TensorType::kF32, shape, values);
    } else if (TensorBlockElements(type) > 1 && family.levels == FamilyLevels::kExact) {
      writer.AddEncodedTensor(name, type, shape, EncodeExactly(type, values, FamilyStep(tensor)));
    } else {
      writer.AddTensor(name, type, shape, values);
    }
  }
  AddRopeDivisors(*config, &writer);
  return writer;
}

}  // namespace intactkv::test
