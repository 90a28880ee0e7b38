#include "engine/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using test::GgufImage;
using test::GgufWriter;
using test::TinyModelOptions;
using ::testing::HasSubstr;

// ReadModelConfig of the tiny model after `change`.
absl::StatusOr<ModelConfig> Read(const std::function<void(GgufWriter*)>& change,
                                 const TinyModelOptions& options = {}) {
  GgufWriter writer = test::TinyModelWriter(options);
  change(&writer);
  const GgufImage image = writer.Build();
  absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  return ReadModelConfig(*file);
}

void Unchanged(GgufWriter* /*writer*/) {}

void Set(GgufWriter* writer, const std::string& key, uint32_t value) {
  writer->RemoveKey(key);
  writer->AddUint32(key, value);
}

std::vector<float> Zeros(size_t size) { return std::vector<float>(size); }

TEST(ModelConfigTest, ReadsTheShape) {
  const absl::StatusOr<ModelConfig> config = Read(Unchanged);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->name, "tiny random model");
  EXPECT_EQ(config->num_layers, 2);
  EXPECT_EQ(config->hidden, 192);
  EXPECT_EQ(config->ffn, 256);
  EXPECT_EQ(config->num_q_heads, 6);
  EXPECT_EQ(config->num_kv_heads, 2);
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_EQ(config->vocab, 320);
  EXPECT_EQ(config->context_length, 4096);
  EXPECT_FLOAT_EQ(config->rms_eps, 1e-5f);
  EXPECT_FLOAT_EQ(config->rope_freq_base, 10'000.0f);
  EXPECT_TRUE(config->tied_embeddings);
  EXPECT_FALSE(config->attention_bias);
  const ModelShape shape = MakeModelShape(*config);
  EXPECT_EQ(shape.attention_scale, 0.125f);
  EXPECT_EQ(shape.rope_style, RopeStyle::kInterleaved);
  ASSERT_EQ(shape.rope_inv_freq.size(), 32u);
  EXPECT_EQ(shape.rope_inv_freq[0], 1.0f);
  EXPECT_FLOAT_EQ(shape.rope_inv_freq[16], 0.01f);
}

TEST(ModelConfigTest, ReadsUntiedHeadAndBiases) {
  const absl::StatusOr<ModelConfig> config =
      Read(Unchanged, {.tied_embeddings = false, .attention_bias = true});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_TRUE(config->attention_bias);
}

// The tiny model's file as one of another architecture: keys renamed, tensors as they are.
absl::StatusOr<ModelConfig> ReadAs(const std::string& architecture,
                                   const std::function<void(GgufWriter*)>& change) {
  GgufWriter writer;
  writer.AddString("general.architecture", architecture);
  const auto add = [&](const char* key, uint32_t value) {
    writer.AddUint32(architecture + "." + key, value);
  };
  add("block_count", 1);
  add("context_length", 64);
  add("embedding_length", 64);
  add("feed_forward_length", 96);
  add("attention.head_count", 2);
  add("attention.head_count_kv", 1);
  add("attention.key_length", 32);
  add("attention.value_length", 32);
  writer.AddFloat32(architecture + ".attention.layer_norm_rms_epsilon", 1e-6f);
  const auto tensor = [&](const std::string& name, std::vector<uint64_t> shape) {
    size_t count = 1;
    for (const uint64_t size : shape) count *= size;
    writer.AddTensor(name, TensorType::kF32, std::move(shape), Zeros(count));
  };
  tensor("token_embd.weight", {64, 40});
  tensor("output_norm.weight", {64});
  for (const auto& [name, rows] : {std::pair<const char*, uint64_t>{"attn_q", 64},
                                   {"attn_k", 32},
                                   {"attn_v", 32},
                                   {"attn_output", 64},
                                   {"ffn_gate", 96},
                                   {"ffn_up", 96}}) {
    tensor("blk.0." + std::string(name) + ".weight", {64, rows});
  }
  tensor("blk.0.ffn_down.weight", {96, 64});
  tensor("blk.0.attn_norm.weight", {64});
  tensor("blk.0.ffn_norm.weight", {64});
  change(&writer);
  const GgufImage image = writer.Build();
  absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  return ReadModelConfig(*file);
}

TEST(ModelConfigTest, Qwen2HasBiasesAndHalves) {
  EXPECT_THAT(ReadAs("qwen2", Unchanged).status().ToString(),
              HasSubstr("tensor 'blk.0.attn_q.bias': is missing"));
  const absl::StatusOr<ModelConfig> config = ReadAs("qwen2", [](GgufWriter* w) {
    w->AddTensor("blk.0.attn_q.bias", TensorType::kF32, {64}, Zeros(64));
    w->AddTensor("blk.0.attn_k.bias", TensorType::kF32, {32}, Zeros(32));
    w->AddTensor("blk.0.attn_v.bias", TensorType::kF32, {32}, Zeros(32));
  });
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope_style, RopeStyle::kHalf);
  EXPECT_EQ(MakeModelShape(*config).rope_style, RopeStyle::kHalf);
  EXPECT_TRUE(config->attention_bias);
  EXPECT_FALSE(config->qk_norm);
}

TEST(ModelConfigTest, Qwen3HasNormsOfItsHeads) {
  EXPECT_THAT(ReadAs("qwen3", Unchanged).status().ToString(),
              HasSubstr("tensor 'blk.0.attn_q_norm.weight': is missing"));
  const auto with_norms = [](uint64_t size) {
    return ReadAs("qwen3", [size](GgufWriter* w) {
      w->AddTensor("blk.0.attn_q_norm.weight", TensorType::kF32, {size}, Zeros(size));
      w->AddTensor("blk.0.attn_k_norm.weight", TensorType::kF32, {size}, Zeros(size));
    });
  };
  EXPECT_THAT(with_norms(64).status().ToString(), HasSubstr("shape [64] must be [32]"));
  const absl::StatusOr<ModelConfig> config = with_norms(32);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->qk_norm);
  EXPECT_FALSE(config->attention_bias);
  EXPECT_EQ(config->rope_style, RopeStyle::kHalf);
}

TEST(ModelConfigTest, DerivesTheHeadSizeWithoutKeyLength) {
  const absl::StatusOr<ModelConfig> config = Read(
      [](GgufWriter* w) {
        w->RemoveKey("llama.attention.key_length");
        w->RemoveKey("llama.attention.value_length");
        w->RemoveKey("llama.rope.dimension_count");
      },
      {.hidden = 384});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->head_dim, 64);
}

TEST(ModelConfigTest, AppliesLinearScalingAndFrequencyFactors) {
  const auto linear = [](GgufWriter* w) {
    w->AddString("llama.rope.scaling.type", "linear");
    w->AddFloat32("llama.rope.scaling.factor", 4.0f);
  };
  absl::StatusOr<ModelConfig> config = Read(linear);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope_inv_freq[0], 0.25f);
  config = Read([](GgufWriter* w) { w->AddFloat32("llama.rope.scale_linear", 2.0f); });
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope_inv_freq[0], 0.5f);
  config = Read([](GgufWriter* w) {
    w->AddTensor("rope_freqs.weight", TensorType::kF32, {32}, std::vector<float>(32, 8.0f));
  });
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->rope_has_factors);
  EXPECT_EQ(config->rope_inv_freq[0], 0.125f);
  config = Read([](GgufWriter* w) { w->AddString("llama.rope.scaling.type", "none"); });
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope_inv_freq[0], 1.0f);
}

struct BadConfig {
  const char* name;
  std::function<void(GgufWriter*)> change;
  absl::StatusCode code;
  const char* message;
};

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnsupported = absl::StatusCode::kUnimplemented;
constexpr absl::StatusCode kMissing = absl::StatusCode::kNotFound;

const BadConfig kBadConfigs[] = {
    {"NoArchitecture", [](GgufWriter* w) { w->RemoveKey("general.architecture"); }, kMissing,
     "'general.architecture' is missing"},
    {"OtherArchitecture",
     [](GgufWriter* w) {
       w->RemoveKey("general.architecture");
       w->AddString("general.architecture", "mamba\n");
     },
     kUnsupported, "'general.architecture': 'mamba\\x0a' is not supported"},
    {"NoLayers", [](GgufWriter* w) { Set(w, "llama.block_count", 0); }, kInvalid,
     "'llama.block_count': 0 is not in 1..1024"},
    {"TooManyLayers", [](GgufWriter* w) { Set(w, "llama.block_count", 1025); }, kInvalid,
     "'llama.block_count': 1025"},
    {"MoreLayersThanTensors", [](GgufWriter* w) { Set(w, "llama.block_count", 3); }, kInvalid,
     "tensor 'blk.2.attn_norm.weight': is missing"},
    {"FewerLayersThanTensors", [](GgufWriter* w) { Set(w, "llama.block_count", 1); }, kInvalid,
     "tensor 'blk.1.attn_norm.weight': is not part of a llama model with 1 layers"},
    {"Hidden", [](GgufWriter* w) { Set(w, "llama.embedding_length", 200); }, kInvalid,
     "'llama.embedding_length': 200 must be a multiple of 32"},
    {"HiddenOfAnotherShape", [](GgufWriter* w) { Set(w, "llama.embedding_length", 224); }, kInvalid,
     "tensor 'token_embd.weight': shape [192, 320] must be [224, 320]"},
    {"Ffn", [](GgufWriter* w) { Set(w, "llama.feed_forward_length", 255); }, kInvalid,
     "'llama.feed_forward_length': 255"},
    {"FfnOfAnotherShape", [](GgufWriter* w) { Set(w, "llama.feed_forward_length", 288); }, kInvalid,
     "tensor 'blk.0.ffn_gate.weight': shape [192, 256] must be [192, 288]"},
    {"Heads", [](GgufWriter* w) { Set(w, "llama.attention.head_count", 0); }, kInvalid,
     "'llama.attention.head_count': 0"},
    {"HeadsOfAnotherShape", [](GgufWriter* w) { Set(w, "llama.attention.head_count", 8); },
     kInvalid, "tensor 'blk.0.attn_q.weight': shape [192, 384] must be [192, 512]"},
    {"KvHeadsDoNotDivide", [](GgufWriter* w) { Set(w, "llama.attention.head_count_kv", 4); },
     kInvalid, "'llama.attention.head_count_kv': 4 does not divide the 6 query heads"},
    {"KvHeadsOfAnotherShape", [](GgufWriter* w) { Set(w, "llama.attention.head_count_kv", 3); },
     kInvalid, "tensor 'blk.0.attn_k.weight': shape [192, 128] must be [192, 192]"},
    {"HeadsPerLayer",
     [](GgufWriter* w) {
       w->RemoveKey("llama.attention.head_count");
       w->AddInt32Array("llama.attention.head_count", {6, 6});
     },
     kInvalid, "'llama.attention.head_count' must be a single value"},
    {"HeadSize16", [](GgufWriter* w) { Set(w, "llama.attention.key_length", 16); }, kInvalid,
     "'llama.attention.key_length': head size 16"},
    {"HeadSize288", [](GgufWriter* w) { Set(w, "llama.attention.key_length", 288); }, kInvalid,
     "'llama.attention.key_length': head size 288"},
    {"ValueLength", [](GgufWriter* w) { Set(w, "llama.attention.value_length", 96); }, kInvalid,
     "'llama.attention.value_length': 96 differs"},
    {"RopeDimensions", [](GgufWriter* w) { Set(w, "llama.rope.dimension_count", 32); }, kInvalid,
     "'llama.rope.dimension_count': 32 differs"},
    {"RopeBase",
     [](GgufWriter* w) {
       w->RemoveKey("llama.rope.freq_base");
       w->AddFloat32("llama.rope.freq_base", -1.0f);
     },
     kInvalid, "'llama.rope.freq_base': -1.0"},
    {"RopeScaling", [](GgufWriter* w) { w->AddString("llama.rope.scaling.type", "yarn"); },
     kUnsupported, "'llama.rope.scaling.type': RoPE scaling 'yarn'"},
    {"RopeFactorAlone", [](GgufWriter* w) { w->AddFloat32("llama.rope.scaling.factor", 2); },
     kInvalid, "'llama.rope.scaling.factor'"},
    {"RopeFactorMissing", [](GgufWriter* w) { w->AddString("llama.rope.scaling.type", "linear"); },
     kMissing, "'llama.rope.scaling.factor' is missing"},
    {"RopeFactors",
     [](GgufWriter* w) { w->AddTensor("rope_freqs.weight", TensorType::kF32, {32}, Zeros(32)); },
     kInvalid, "tensor 'rope_freqs.weight': value 0 is not in 1e-6..1e12"},
    {"RopeFactorsShape",
     [](GgufWriter* w) { w->AddTensor("rope_freqs.weight", TensorType::kF32, {31}, Zeros(31)); },
     kInvalid, "tensor 'rope_freqs.weight': shape [31] must be [32]"},
    {"Epsilon",
     [](GgufWriter* w) {
       w->RemoveKey("llama.attention.layer_norm_rms_epsilon");
       w->AddFloat32("llama.attention.layer_norm_rms_epsilon", 0.0f);
     },
     kInvalid, "'llama.attention.layer_norm_rms_epsilon'"},
    {"Context", [](GgufWriter* w) { Set(w, "llama.context_length", 0); }, kInvalid,
     "'llama.context_length': 0"},
    {"Vocabulary", [](GgufWriter* w) { Set(w, "llama.vocab_size", 321); }, kInvalid,
     "'llama.vocab_size': 321 differs from the rows of token_embd.weight, 320"},
    {"Tokens",
     [](GgufWriter* w) {
       w->RemoveKey("tokenizer.ggml.tokens");
       w->AddStringArray("tokenizer.ggml.tokens", {"a"});
     },
     kInvalid, "'tokenizer.ggml.tokens': length 1 differs"},
    {"Experts", [](GgufWriter* w) { w->AddUint32("llama.expert_count", 8); }, kUnsupported,
     "'llama.expert_count'"},
    {"SoftCapping", [](GgufWriter* w) { w->AddFloat32("llama.final_logit_softcapping", 30); },
     kUnsupported, "'llama.final_logit_softcapping'"},
    {"SlidingWindow", [](GgufWriter* w) { w->AddString("llama.attention.sliding_window", "x"); },
     kInvalid, "'llama.attention.sliding_window'"},
    {"NoEmbedding", [](GgufWriter* w) { w->RemoveTensor("token_embd.weight"); }, kInvalid,
     "tensor 'token_embd.weight': is missing"},
    {"NoNorm", [](GgufWriter* w) { w->RemoveTensor("output_norm.weight"); }, kInvalid,
     "tensor 'output_norm.weight': is missing"},
    {"OneBiasAlone",
     [](GgufWriter* w) { w->AddTensor("blk.0.attn_q.bias", TensorType::kF32, {384}, Zeros(384)); },
     kInvalid, "tensor 'blk.0.attn_k.bias': is missing"},
    {"UnknownTensor",
     [](GgufWriter* w) {
       w->AddTensor("blk.0.attn_q_norm.weight", TensorType::kF32, {1}, Zeros(1));
     },
     kInvalid, "tensor 'blk.0.attn_q_norm.weight': is not part"},
};

class BadConfigTest : public ::testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigTest, IsRefusedByName) {
  const absl::Status status = Read(GetParam().change).status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(status.ToString(), HasSubstr(GetParam().message));
  EXPECT_EQ(status.ToString().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Table, BadConfigTest, ::testing::ValuesIn(kBadConfigs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ModelConfigTest, AWindowBoundsTheContext) {
  TinyModelOptions options;
  for (const uint32_t window : {0u, 64u}) {
    const std::vector<std::byte> bytes = [&] {
      GgufWriter writer = test::TinyModelWriter(options);
      writer.AddUint32("llama.attention.sliding_window", window);
      return writer.Build().bytes;
    }();
    const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "x.gguf");
    const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_TRUE(CheckContext(*file, *config, 64).ok());
    const absl::Status beyond = CheckContext(*file, *config, 65);
    EXPECT_EQ(beyond.ok(), window == 0);
    if (window != 0) {
      EXPECT_THAT(beyond.ToString(), HasSubstr("x.gguf: "));
      EXPECT_THAT(beyond.ToString(), HasSubstr("--max-model-len 64"));
    }
  }
}

TEST(ModelConfigTest, AcceptsFeaturesThatAreSwitchedOff) {
  const absl::StatusOr<ModelConfig> config = Read([](GgufWriter* w) {
    w->AddUint32("llama.expert_count", 0);
    w->AddFloat32("llama.logit_scale", 0.0f);
    w->AddTensor("rope_freqs.weight", TensorType::kF32, {32, 1}, std::vector<float>(32, 1.0f));
  });
  EXPECT_TRUE(config.ok()) << config.status();
}

std::string Identity(const std::function<void(GgufWriter*)>& change,
                     const TinyModelOptions& options = {}) {
  GgufWriter writer = test::TinyModelWriter(options);
  change(&writer);
  const GgufImage image = writer.Build();
  absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  EXPECT_TRUE(config.ok()) << config.status();
  return ModelIdentity(*file, *config);
}

TEST(ModelIdentityTest, ChangesWithNumbersAndNotWithNames) {
  const std::string identity = Identity(Unchanged);
  EXPECT_EQ(identity.size(), 64u);
  EXPECT_EQ(identity, Identity([](GgufWriter* w) { w->AddString("general.license", "free"); }));
  EXPECT_NE(identity, Identity(Unchanged, {.seed = 2}));
  EXPECT_NE(identity, Identity(Unchanged, {.type = TensorType::kBF16}));
  EXPECT_NE(identity, Identity([](GgufWriter* w) { w->AddFloat32("llama.rope.scale_linear", 2); }));
}

}  // namespace
}  // namespace intactkv
