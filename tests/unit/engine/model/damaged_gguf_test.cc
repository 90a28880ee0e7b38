// 300 damaged model files of each kind: structural damage is refused with one line; any other
// damage is refused so, or the model loads and its every byte can be read. Never a crash; runs
// under sanitizers too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/model/gguf.h"
#include "engine/model/inspect.h"
#include "engine/model/llama_model.h"
#include "engine/model/model_config.h"
#include "tests/support/fake_backend.h"
#include "tests/support/gguf_damage.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

constexpr int kNumFiles = 300;

// Everything that loading a model does with a file.
absl::Status LoadAll(const std::vector<std::byte>& bytes) {
  absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "damaged.gguf");
  if (!file.ok()) return file.status();
  for (const std::string& key : file->Keys()) {
    (void)file->GetString(key);
    (void)file->GetInt(key);
    (void)file->GetFloat(key);
    (void)file->GetBool(key);
    (void)file->GetStringArray(key);
    (void)file->GetIntArray(key);
    (void)file->GetFloatArray(key);
  }
  absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  if (!config.ok()) return config.status();
  (void)DescribeModel(*file, *config);
  (void)ModelIdentity(*file, *config);
  test::FakeScript script;
  test::FakeBackend backend(&script);
  return LlamaModel::Load(*file, *config, backend, {}).status();
}

void CheckDamage(const test::GgufImage& image, uint64_t seed, int count) {
  int refused = 0, structural = 0, loaded = 0;
  for (int i = 0; i < count; ++i) {
    const test::DamagedFile damaged = test::DamageGguf(image, seed, i);
    SCOPED_TRACE("file " + std::to_string(i) + " of seed " + std::to_string(seed) + ": " +
                 damaged.what);
    const absl::Status status = LoadAll(damaged.bytes);
    structural += damaged.structural ? 1 : 0;
    EXPECT_FALSE(damaged.structural && status.ok());
    if (status.ok()) {
      ++loaded;
      continue;
    }
    ++refused;
    EXPECT_THAT(status.ToString(), ::testing::HasSubstr("damaged.gguf: "));
    EXPECT_EQ(status.ToString().find('\n'), std::string::npos) << status;
    EXPECT_LT(status.ToString().size(), 400u) << status;
  }
  EXPECT_GE(structural, count / 2);  // the test saw what it claims
  EXPECT_GE(refused, structural);
  EXPECT_GE(loaded, 1);
}

TEST(DamagedGgufTest, FloatModel) {
  CheckDamage(test::TinyModelWriter({.num_layers = 1}).Build(), /*seed=*/1, kNumFiles);
}

TEST(DamagedGgufTest, QuantizedModelOfItsOwnHead) {
  CheckDamage(test::TinyModelWriter({.num_layers = 1,
                                     .tied_embeddings = false,
                                     .attention_bias = true,
                                     .type = TensorType::kQ4_1})
                  .Build(),
              /*seed=*/2, kNumFiles);
}

TEST(DamagedGgufTest, ModelOfEveryBlockedType) {
  test::TinyModelOptions options = test::MixedTinyModel();
  options.num_layers = 1;
  options.tied_embeddings = false;
  CheckDamage(test::TinyModelWriter(options).Build(), /*seed=*/4, kNumFiles);
}

// More files on request: INTACTKV_DAMAGED_FILES=10000.
TEST(DamagedGgufTest, EightBitModel) {
  const char* asked = std::getenv("INTACTKV_DAMAGED_FILES");
  CheckDamage(test::TinyModelWriter({.num_layers = 1, .type = TensorType::kQ8_0}).Build(),
              /*seed=*/3, asked == nullptr ? kNumFiles : std::atoi(asked));
}

}  // namespace
}  // namespace intactkv
