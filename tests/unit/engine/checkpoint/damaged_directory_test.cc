// Damaged model directories: structural damage is refused with one line; any other damage is
// refused so, or the model loads and its every byte can be read. Never a crash; runs under
// sanitizers too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "engine/checkpoint/opened_model.h"
#include "engine/model/llama_model.h"
#include "tests/support/fake_backend.h"
#include "tests/support/json_damage.h"
#include "tests/support/model_directory_writer.h"
#include "tests/support/safetensors_damage.h"

namespace intactkv {
namespace {

using test::DirectoryFiles;

// More files on request: INTACTKV_DAMAGED_FILES=10000.
int NumFiles() {
  const char* asked = std::getenv("INTACTKV_DAMAGED_FILES");
  return asked == nullptr ? 200 : std::atoi(asked);
}

class DamagedDirectoryTest : public ::testing::Test {
 protected:
  DamagedDirectoryTest() : path_(testing::TempDir() + "/damaged_" + std::to_string(::getpid())) {}
  ~DamagedDirectoryTest() override {
    std::filesystem::remove_all(path_);
    EXPECT_GE(refused_, structural_);  // the test saw what it claims
    EXPECT_GE(structural_, 1);
    EXPECT_GE(loaded_, 1);
  }

  // Everything that loading a model does with a directory.
  absl::Status LoadAll(const DirectoryFiles& files) {
    test::WriteDirectory(path_, files);
    const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path_);
    if (!model.ok()) return model.status();
    (void)model->Describe();
    (void)ModelIdentity(model->weights(), model->config());
    test::FakeScript script;
    test::FakeBackend backend(&script);
    return LlamaModel::Load(model->weights(), model->config(), backend, {}).status();
  }

  void Check(const DirectoryFiles& files, const std::string& what, bool structural) {
    SCOPED_TRACE(what);
    const absl::Status status = LoadAll(files);
    EXPECT_FALSE(structural && status.ok());
    structural_ += structural ? 1 : 0;
    loaded_ += status.ok() ? 1 : 0;
    if (status.ok()) return;
    ++refused_;
    EXPECT_THAT(status.ToString(), ::testing::HasSubstr(path_));
    for (const char c : std::string(status.message())) ASSERT_GE(c, 0x20) << status;
    EXPECT_LT(status.ToString().size(), 400u + path_.size()) << status;
  }

  void CheckText(const DirectoryFiles& files, const std::string& name, uint64_t seed) {
    for (int i = 0; i < NumFiles(); ++i) {
      const test::DamagedText damaged = test::DamageJson(test::ToText(files.at(name)), seed, i);
      DirectoryFiles changed = files;
      changed[name] = test::ToBytes(damaged.text);
      Check(changed, std::to_string(i) + ": " + damaged.what, damaged.structural);
    }
  }

  void CheckWeights(const DirectoryFiles& files, uint64_t seed) {
    const std::string name = "model.safetensors";
    test::SafetensorsImage image;
    image.bytes = files.at(name);
    uint64_t length = 0;
    std::memcpy(&length, image.bytes.data(), sizeof(length));
    image.data_start = sizeof(length) + length;
    for (int i = 0; i < NumFiles(); ++i) {
      const test::DamagedFile damaged = test::DamageSafetensors(image, seed, i);
      DirectoryFiles changed = files;
      changed[name] = damaged.bytes;
      Check(changed, std::to_string(i) + ": " + damaged.what, damaged.structural);
    }
  }

  const std::string path_;
  int refused_ = 0, structural_ = 0, loaded_ = 0;
};

TEST_F(DamagedDirectoryTest, Weights) { CheckWeights(test::TinyModelDirectory(), 1); }

TEST_F(DamagedDirectoryTest, WeightsOfATiedModelInBf16) {
  CheckWeights(test::TinyModelDirectory(
                   {.model_type = "qwen3", .tied_embeddings = true, .type = TensorType::kBF16}),
               2);
}

TEST_F(DamagedDirectoryTest, Config) { CheckText(test::TinyModelDirectory(), "config.json", 3); }

TEST_F(DamagedDirectoryTest, ConfigOfAnotherFamily) {
  CheckText(test::TinyModelDirectory({.model_type = "qwen2"}), "config.json", 4);
}

TEST_F(DamagedDirectoryTest, Index) {
  CheckText(test::TinyModelDirectory({.num_shards = 2}), "model.safetensors.index.json", 5);
}

}  // namespace
}  // namespace intactkv
