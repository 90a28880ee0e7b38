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
     kInvalid, "tensor 'rope_freqs.weight': value 0 is not a positive number"},
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
    {"SlidingWindow", [](GgufWriter* w) { w->AddUint32("llama.attention.sliding_window", 4096); },
     kUnsupported, "'llama.attention.sliding_window'"},
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
