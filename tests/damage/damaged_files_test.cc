// A thousand damaged files of each format, GGUF, safetensors, config.json and tokenizer.json, each
// served as `intactkv serve` does it: structural damage is refused with one line that names the
// file and the field, key or tensor; any other damage is refused so, or the model loads and
// answers. Never a crash, and never a sanitizer's report: the sanitizers' trees run this too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/damage/served_once.h"
#include "tests/support/gguf_damage.h"
#include "tests/support/json_damage.h"
#include "tests/support/model_directory_writer.h"
#include "tests/support/safetensors_damage.h"
#include "tests/support/tiny_model.h"

namespace intactkv::test {
namespace {

namespace fs = std::filesystem;

constexpr int kNumFiles = 1000;
constexpr std::string_view kShapeKeys[] = {
    "num_hidden_layers",   "hidden_size", "intermediate_size", "num_attention_heads",
    "num_key_value_heads", "head_dim",    "vocab_size",        "model_type"};
constexpr std::string_view kTypeKeys[] = {"version", "type"};

// More files on request: INTACTKV_DAMAGED_FILES=100000.
int NumFiles() {
  const char* asked = std::getenv("INTACTKV_DAMAGED_FILES");
  return asked == nullptr ? kNumFiles : std::atoi(asked);
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The trained tokenizers of the families.
std::vector<std::string> Tokenizers() {
  const fs::path folder = INTACTKV_SOURCE_DIR "/tests/unit/engine/text/families";
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().ends_with(".tokenizer.json")) paths.push_back(entry);
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> out;
  for (const fs::path& path : paths) out.push_back(ReadFile(path));
  return out;
}

// A directory that can be served: weights, configuration and text.
DirectoryFiles WholeModel(TinyDirectoryOptions options) {
  options.vocab = 1024;  // more than any of the tokenizers has
  options.tied_embeddings = true;
  DirectoryFiles files = TinyModelDirectory(options);
  files["tokenizer.json"] = ToBytes(Tokenizers().front());
  files["tokenizer_config.json"] = ToBytes(
      R"({"chat_template": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"})");
  return files;
}

class DamagedFilesTest : public ::testing::Test {
 protected:
  DamagedFilesTest() : path_(testing::TempDir() + "/served_" + std::to_string(::getpid())) {}
  ~DamagedFilesTest() override { fs::remove_all(path_); }

  // The model at path_ now, after `damaged`.
  void Check(const std::string& what, bool structural) {
    SCOPED_TRACE(what);
    const ServedOnce served = ServeOnce(path_);
    structural_ += structural;
    if (served.loaded.ok()) {
      ++loaded_;
      EXPECT_FALSE(structural) << "loaded";
      EXPECT_TRUE(served.answered);
      return;
    }
    ++refused_;
    ExpectOneNamingLine(std::string(served.loaded.message()));
  }

  // "FILE: which field, key or tensor: why".
  void ExpectOneNamingLine(const std::string& line) {
    for (const char c : line) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
    EXPECT_LT(line.size(), 400 + path_.size()) << line;
    // The flag that ServeOnce gives, when it contradicts what the file now says.
    if (line.starts_with("--max-model-len 64: ")) return;
    ASSERT_TRUE(line.starts_with(path_)) << line;
    EXPECT_THAT(line.substr(path_.size()),
                ::testing::ContainsRegex("tensor|metadata key|header: |key '|JSON|key twice|empty|"
                                         "tokenizer\\.|tokens"))
        << line;
  }

  void Expect(int min_structural, int min_loaded) {
    EXPECT_EQ(refused_ + loaded_, NumFiles());
    EXPECT_GE(structural_ * kNumFiles, min_structural * NumFiles()) << "saw what it claims";
    EXPECT_GE(loaded_ * kNumFiles, min_loaded * NumFiles());
    RecordProperty("structural", structural_);
    RecordProperty("refused", refused_);
    RecordProperty("answered", loaded_);
  }

  // `count` damaged forms of one text file of the model: the whole of it, or one of `keys`, in
  // turn.
  void CheckText(const std::string& name, const std::string& text,
                 std::span<const std::string_view> keys, uint64_t seed, int count) {
    for (int i = 0; i < count; ++i) {
      const DamagedText damaged =
          i % 2 == 0 ? DamageJson(text, seed, i / 2) : DamageJsonTag(text, keys, seed, i / 2);
      WriteBytes(path_ + "/" + name, ToBytes(damaged.text));
      Check(std::to_string(i) + ": " + damaged.what, damaged.structural);
    }
  }

  const std::string path_;
  int structural_ = 0, refused_ = 0, loaded_ = 0;
};

TEST_F(DamagedFilesTest, Gguf) {
  TinyModelOptions mixed = MixedTinyModel();
  mixed.num_layers = 1;
  const std::array<GgufImage, 3> images = {TinyModelWriter({.num_layers = 1}).Build(),
                                           TinyModelWriter({.num_layers = 1,
                                                            .architecture = "qwen2",
                                                            .tied_embeddings = false,
                                                            .type = TensorType::kQ4_1})
                                               .Build(),
                                           TinyModelWriter(mixed).Build()};
  for (int i = 0; i < NumFiles(); ++i) {
    const DamagedFile damaged = DamageGguf(images[static_cast<size_t>(i) % 3], 61, i);
    fs::remove(path_);
    WriteBytes(path_, damaged.bytes);
    Check(std::to_string(i) + ": " + damaged.what, damaged.structural);
  }
  Expect(/*min_structural=*/500, /*min_loaded=*/100);
}

TEST_F(DamagedFilesTest, Safetensors) {
  const DirectoryFiles files = WholeModel({.type = TensorType::kBF16});
  WriteDirectory(path_, files);
  SafetensorsImage image{.bytes = files.at("model.safetensors")};
  uint64_t length = 0;
  std::memcpy(&length, image.bytes.data(), sizeof(length));
  image.data_start = sizeof(length) + length;
  for (int i = 0; i < NumFiles(); ++i) {
    const DamagedFile damaged = DamageSafetensors(image, 62, i);
    WriteBytes(path_ + "/model.safetensors", damaged.bytes);
    Check(std::to_string(i) + ": " + damaged.what, damaged.structural);
  }
  Expect(/*min_structural=*/600, /*min_loaded=*/30);
}

TEST_F(DamagedFilesTest, Config) {
  uint64_t seed = 630;
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    const DirectoryFiles files = WholeModel({.model_type = family, .type = TensorType::kBF16});
    WriteDirectory(path_, files);
    CheckText("config.json", ToText(files.at("config.json")), kShapeKeys, seed++, NumFiles() / 4);
  }
  Expect(/*min_structural=*/550, /*min_loaded=*/30);
}

TEST_F(DamagedFilesTest, TokenizerJson) {
  WriteDirectory(path_, WholeModel({.type = TensorType::kBF16}));
  const std::vector<std::string> texts = Tokenizers();
  ASSERT_EQ(texts.size(), 8u);
  uint64_t seed = 640;
  for (const std::string& text : texts) {
    CheckText("tokenizer.json", text, kTypeKeys, seed++, NumFiles() / 8);
  }
  Expect(/*min_structural=*/550, /*min_loaded=*/5);
}

TEST_F(DamagedFilesTest, WithoutDamageEachIsServed) {
  WriteBytes(path_, TinyModelWriter({.num_layers = 1}).Build().bytes);
  const ServedOnce file = ServeOnce(path_);
  EXPECT_TRUE(file.loaded.ok()) << file.loaded;
  EXPECT_TRUE(file.answered);
  for (const std::string& tokenizer : Tokenizers()) {
    DirectoryFiles files = WholeModel({});
    files["tokenizer.json"] = ToBytes(tokenizer);
    WriteDirectory(path_, files);
    const ServedOnce served = ServeOnce(path_);
    EXPECT_TRUE(served.loaded.ok()) << served.loaded;
    EXPECT_TRUE(served.answered);
  }
}

}  // namespace
}  // namespace intactkv::test
