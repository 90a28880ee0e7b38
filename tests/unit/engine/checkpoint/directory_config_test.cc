#include "engine/checkpoint/directory_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/model_directory_writer.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;

// The tiny model's config.json with `from` replaced by `to`.
std::string Config(const std::string& from, const std::string& to,
                   const std::string& model_type = "llama") {
  const test::DirectoryFiles files = test::TinyModelDirectory({.model_type = model_type});
  return test::ToText(test::WithText(files, "config.json", from, to).at("config.json"));
}

absl::StatusOr<ModelConfig> Read(const std::string& from = "{", const std::string& to = "{",
                                 const std::string& model_type = "llama") {
  return ReadDirectoryConfig("m/config.json", Config(from, to, model_type));
}

TEST(DirectoryConfigTest, ReadsTheShape) {
  const absl::StatusOr<ModelConfig> config = Read();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->num_layers, 1);
  EXPECT_EQ(config->hidden, 64);
  EXPECT_EQ(config->ffn, 96);
  EXPECT_EQ(config->num_q_heads, 2);
  EXPECT_EQ(config->num_kv_heads, 1);
  EXPECT_EQ(config->head_dim, 32);
  EXPECT_EQ(config->vocab, 96);
  EXPECT_EQ(config->context_length, 512);
  EXPECT_EQ(config->rms_eps, 1e-5f);
  EXPECT_EQ(config->rope_style, RopeStyle::kHalf);
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_EQ(config->sliding_window, 0);
  EXPECT_EQ(config->rope_inv_freq.size(), 16u);
}

TEST(DirectoryConfigTest, KnowsTheFamilies) {
  EXPECT_FALSE(Read("{", "{", "mistral")->qk_norm);
  EXPECT_EQ(Read("{", "{", "mistral")->architecture, "llama");
  EXPECT_TRUE(Read("{", "{", "qwen2")->attention_bias);
  EXPECT_EQ(Read("{", "{", "qwen2")->architecture, "qwen2");
  EXPECT_TRUE(Read("{", "{", "qwen3")->qk_norm);
  EXPECT_FALSE(Read("{", "{", "qwen3")->attention_bias);
  EXPECT_EQ(Read("{", "{", "qwen3")->architecture, "qwen3");
}

TEST(DirectoryConfigTest, HeadSizeWithoutHeadDim) {
  EXPECT_EQ(Read(R"("head_dim": 32)", R"("head_dim": null)")->head_dim, 32);
  // Qwen3's own default, whatever hidden / heads is.
  EXPECT_EQ(Read(R"("head_dim": 32)", R"("head_dim": null)", "qwen3")->head_dim, 128);
}

TEST(DirectoryConfigTest, KvHeadsMayBeMissingForLlamaAlone) {
  const char* from = R"("num_key_value_heads": 1, )";
  EXPECT_EQ(Read(from, "")->num_kv_heads, 2);
  EXPECT_THAT(Read(from, "", "qwen2").status().ToString(),
              HasSubstr("key 'num_key_value_heads': is missing"));
}

// base^(-2i/d) of the tiny model's head of 32.
double Plain(double base, int i) { return std::pow(base, -i / 16.0); }

TEST(DirectoryConfigTest, RopeInItsOlderAndNewerForm) {
  EXPECT_FLOAT_EQ(Read()->rope_inv_freq[8], 0.01f);
  EXPECT_FLOAT_EQ(Read(R"("rope_theta": 10000.0, )", "")->rope_inv_freq[8], 0.01f) << "the default";
  EXPECT_FLOAT_EQ(Read("10000.0", "1000000")->rope_inv_freq[8], 0.001f);
  const absl::StatusOr<ModelConfig> newer =
      Read(R"("rope_theta": 10000.0)",
           R"("rope_parameters": {"rope_type": "default", "rope_theta": 1e6})");
  ASSERT_TRUE(newer.ok()) << newer.status();
  EXPECT_FLOAT_EQ(newer->rope_inv_freq[8], 0.001f);
  for (const char* key : {"type", "rope_type"}) {
    const absl::StatusOr<ModelConfig> linear =
        Read(R"("rope_scaling": null)",
             R"("rope_scaling": {")" + std::string(key) + R"(": "linear", "factor": 4})");
    ASSERT_TRUE(linear.ok()) << linear.status();
    EXPECT_FLOAT_EQ(linear->rope_inv_freq[8], 0.0025f);
  }
}

TEST(DirectoryConfigTest, RopeOfLlama3) {
  const absl::StatusOr<ModelConfig> config =
      Read(R"("rope_scaling": null)",
           R"("rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1,)"
           R"( "high_freq_factor": 4, "original_max_position_embeddings": 64})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->rope_has_factors);
  constexpr double kPi = 3.14159265358979;
  for (int i = 0; i < 16; ++i) {
    const double plain = Plain(10'000, i), wave = 2 * kPi / plain;
    const double smooth = (64 / wave - 1) / 3;
    const double want = wave < 16   ? plain
                        : wave > 64 ? plain / 8
                                    : plain * ((1 - smooth) / 8 + smooth);
    EXPECT_NEAR(static_cast<double>(config->rope_inv_freq[static_cast<size_t>(i)]) / want, 1, 1e-6)
        << i;
  }
}

TEST(DirectoryConfigTest, SlidingWindows) {
  const std::string none = R"("sliding_window": null)";
  EXPECT_EQ(Read(none, R"("sliding_window": 128)", "mistral")->sliding_window, 128);
  EXPECT_EQ(Read(none + ", ", "", "mistral")->sliding_window, 4096) << "Transformers' default";
  EXPECT_EQ(Read(none, R"("sliding_window": 128)", "qwen2")->sliding_window, 0) << "off by default";
  const char* off = R"("use_sliding_window": false, "sliding_window": 128)";
  const char* on = R"("use_sliding_window": true, "sliding_window": 128)";
  EXPECT_EQ(Read(none, off, "qwen2")->sliding_window, 0);
  EXPECT_EQ(Read(none, on, "qwen2")->sliding_window, 128);
  EXPECT_EQ(Read(none, on, "qwen3")->sliding_window, 128);
  EXPECT_EQ(Read(none, R"("layer_types": ["full_attention"], "sliding_window": 128)", "mistral")
                ->sliding_window,
            0);
  EXPECT_EQ(Read(none, R"("layer_types": ["sliding_attention"], "sliding_window": 128)", "qwen3")
                ->sliding_window,
            128);
}

struct Refused {
  const char* name;
  const char* from;
  const char* to;
  absl::StatusCode code;
  const char* words;
};

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnsupported = absl::StatusCode::kUnimplemented;

const Refused kRefused[] = {
    {"NoFamily", R"("model_type": "llama")", R"("x": 1)", kInvalid, "'model_type': is missing"},
    {"OtherFamily", R"("model_type": "llama")", R"("model_type": "mixtral")", kUnsupported,
     "'model_type': 'mixtral' is not supported; serve a model of the families"},
    {"OtherClass", "LlamaForCausalLM", "LlamaForSequenceClassification", kUnsupported,
     "'architectures': 'LlamaForSequenceClassification'"},
    {"Quantized", "{", R"({"quantization_config": {"quant_method": "awq"}, )", kUnsupported,
     "'quantization_config': quantized weights (awq)"},
    {"Activation", R"("silu")", R"("gelu\n")", kUnsupported, "'hidden_act': 'gelu\\x0a'"},
    {"AttentionBias", "{", R"({"attention_bias": true, )", kUnsupported, "'attention_bias'"},
    {"MlpBias", "{", R"({"mlp_bias": true, )", kUnsupported, "'mlp_bias'"},
    {"Yarn", R"("rope_scaling": null)", R"("rope_scaling": {"type": "yarn", "factor": 4})",
     kUnsupported, "'rope_scaling.rope_type': RoPE scaling 'yarn' is not supported"},
    {"LinearFactorOfNothing", R"("rope_scaling": null)",
     R"("rope_scaling": {"type": "linear", "factor": 1e-320})", kInvalid,
     "'rope_scaling.factor': 9.99989e-321 is not between 1e-06 and 1e+06"},
    {"PartialRope", "{", R"({"partial_rotary_factor": 0.5, )", kUnsupported,
     "'partial_rotary_factor'"},
    {"Llama3WithoutFactor", R"("rope_scaling": null)", R"("rope_scaling": {"rope_type": "llama3"})",
     kInvalid, "'rope_scaling.factor': is missing"},
    {"Llama3HighBelowLow", R"("rope_scaling": null)",
     R"("rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, )"
     R"("high_freq_factor": 4, "original_max_position_embeddings": 64})",
     kInvalid, "'rope_scaling.high_freq_factor': 4 is not between 4 and"},
    {"LayerTypes", "{", R"({"layer_types": ["chunked_attention"], )", kUnsupported,
     "'layer_types': 'chunked_attention'"},
    {"NoLayers", R"("num_hidden_layers": 1)", R"("num_hidden_layers": 0)", kInvalid,
     "'num_hidden_layers': 0"},
    {"Hidden", R"("hidden_size": 64)", R"("hidden_size": 65)", kInvalid,
     "'hidden_size': 65 must be a multiple of 32"},
    {"Ffn", R"("intermediate_size": 96)", R"("intermediate_size": "96")", kInvalid,
     "'intermediate_size'"},
    {"Heads", R"("num_attention_heads": 2)", R"("num_attention_heads": -2)", kInvalid,
     "'num_attention_heads': -2"},
    {"KvHeads", R"("num_key_value_heads": 1)", R"("num_key_value_heads": 3)", kInvalid,
     "'num_key_value_heads': 3 does not divide the 2 query heads"},
    {"HeadDim", R"("head_dim": 32)", R"("head_dim": 48)", kInvalid, "'head_dim': head size 48"},
    {"HeadDimTooLarge", R"("head_dim": 32)", R"("head_dim": 288)", kInvalid, "head size 288"},
    {"Vocabulary", R"("vocab_size": 96)", R"("vocab_size": 1e3)", kInvalid, "'vocab_size'"},
    {"Context", R"("max_position_embeddings": 512)", R"("max_position_embeddings": 99999999999)",
     kInvalid, "'max_position_embeddings': 99999999999"},
    {"Eps", R"("rms_norm_eps": 1e-05)", R"("rms_norm_eps": 0)", kInvalid, "'rms_norm_eps': 0"},
    {"Theta", "10000.0", "1e400", kInvalid, "'rope_theta': inf"},
    {"Tied", R"("tie_word_embeddings": false)", R"("tie_word_embeddings": 0)", kInvalid,
     "'tie_word_embeddings'"},
    {"KeyTwice", "{", R"({"hidden_size": 64, )", kInvalid, "holds a key twice"},
    {"NoJson", "}", "", kInvalid, "is not valid JSON"},
};

class RefusedConfigTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedConfigTest, IsNamed) {
  const absl::Status status = Read(GetParam().from, GetParam().to).status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("m/config.json: "));
  EXPECT_THAT(status.ToString(), HasSubstr(GetParam().words));
  EXPECT_EQ(status.ToString().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Table, RefusedConfigTest, ::testing::ValuesIn(kRefused),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace intactkv
