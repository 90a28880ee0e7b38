// `intactkv serve` and `intactkv model inspect` on damaged model directories: a non-zero exit code
// and one line that names the file and the tensor or key, never a crash. The same directory
// undamaged is described; what serving it still lacks is said by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/model_directory_writer.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kConfig[] = "config.json";
constexpr char kWeights[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr char kSecond[] = "model-00002-of-00002.safetensors";

struct Damage {
  const char* what;
  DirectoryFiles files;
  const char* named;  // in the line
};

DirectoryFiles Model() { return TinyModelDirectory(); }

DirectoryFiles Cut(DirectoryFiles files, const std::string& name, size_t size_from_end) {
  std::vector<std::byte>& bytes = files.at(name);
  bytes.resize(bytes.size() - size_from_end);
  return files;
}

DirectoryFiles Without(DirectoryFiles files, const std::string& name) {
  files.erase(name);
  return files;
}

std::vector<Damage> ConfigDamage() {
  const auto with = [](const char* from, const char* to) {
    return WithText(Model(), kConfig, from, to);
  };
  return {
      {"no config.json", Without(Model(), kConfig), "without config.json"},
      {"cut", Cut(Model(), kConfig, 2), "config.json: is not valid JSON"},
      {"an unknown family", with(R"("llama")", R"("mixtral")"), "key 'model_type': 'mixtral'"},
      {"a line break", with(R"("llama")", R"("two\nlines\u001b[2J")"), "key 'model_type': 'two"},
      {"quantized", with("{", R"({"quantization_config": {"quant_method": "gptq"}, )"),
       "key 'quantization_config': quantized weights (gptq)"},
      {"another RoPE", with(R"("rope_scaling": null)", R"("rope_scaling": {"rope_type": "yarn"})"),
       "key 'rope_scaling.rope_type'"},
      {"a text for a number", with(R"("hidden_size": 64)", R"("hidden_size": "64")"),
       "key 'hidden_size'"},
      {"another size", with(R"("hidden_size": 64)", R"("hidden_size": 96)"),
       "model.embed_tokens.weight': shape [96, 64] must be [96, 96]"},
      {"deep",
       with("{",
            R"({"x": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]], )"),
       "config.json: is JSON nested too deep"},
  };
}

std::vector<Damage> WeightDamage() {
  const auto with = [](const char* from, const char* to) {
    return WithText(Model(), kWeights, from, to);
  };
  DirectoryFiles empty = Model();
  empty[kWeights] = {};
  const DirectoryFiles shards = TinyModelDirectory({.num_shards = 2});
  return {
      {"no weights", Without(Model(), kWeights), "has neither model.safetensors nor"},
      {"no byte at all", empty, "model.safetensors: is empty"},
      {"cut in the last tensor", Cut(Model(), kWeights, 1), "tensor 'lm_head.weight'"},
      {"cut in the header", Cut(Model(), kWeights, Model().at(kWeights).size() - 100), "header"},
      {"another type", with(R"("dtype":"F32")", R"("dtype":"I32")"), "dtype 'I32'"},
      {"another shape", with(R"("shape":[96,64])", R"("shape":[64,96])"),
       "model.embed_tokens.weight': shape [64, 96] must be [96, 64]"},
      {"another name", with("self_attn.k_proj", "self_attn.x_proj"), "x_proj.weight"},
      {"a shard is missing", Without(shards, kSecond), kSecond},
      {"an index of another place", WithText(shards, kIndex, kSecond, "/etc/passwd"),
       "/etc/passwd"},
  };
}

class DamagedDirectoryTest : public ::testing::Test {
 protected:
  DamagedDirectoryTest()
      : path_(testing::TempDir() + "/damaged_directory_" + std::to_string(::getpid())) {}
  ~DamagedDirectoryTest() override { std::filesystem::remove_all(path_); }

  void ExpectRefused(const std::string& named) {
    ChildProcess serve({INTACTKV_BINARY, "serve", "--model", path_, "--port", "0", "--admin-port",
                        "0", "--grpc-port", "0", "--threads", "1", "--kv-pool-bytes", "1M"});
    EXPECT_EQ(serve.Wait(), 1);
    EXPECT_THAT(serve.err(), StartsWith("intactkv: "));
    EXPECT_EQ(serve.err().find('\n'), serve.err().size() - 1) << serve.err();
    EXPECT_EQ(serve.err().find('\x1b'), std::string::npos) << "no word of the file's to a terminal";
    EXPECT_LT(serve.err().size(), 400u) << serve.err();
    EXPECT_THAT(serve.err(), HasSubstr(path_)) << "which file";
    EXPECT_THAT(serve.err(), HasSubstr(named));
    EXPECT_EQ(serve.out().find("ready"), std::string::npos);
  }
  void CheckAll(const std::vector<Damage>& damages) {
    for (const Damage& damage : damages) {
      SCOPED_TRACE(damage.what);
      WriteDirectory(path_, damage.files);
      ExpectRefused(damage.named);
    }
  }

  const std::string path_;
};

TEST_F(DamagedDirectoryTest, Config) { CheckAll(ConfigDamage()); }
TEST_F(DamagedDirectoryTest, Weights) { CheckAll(WeightDamage()); }

TEST_F(DamagedDirectoryTest, InspectDescribesWhatIsWholeAndRefusesTheRest) {
  WriteDirectory(path_, TinyModelDirectory({.model_type = "qwen3", .num_shards = 2}));
  ChildProcess whole({INTACTKV_BINARY, "model", "inspect", path_});
  EXPECT_EQ(whole.Wait(), 0) << whole.err();
  EXPECT_THAT(whole.out(), HasSubstr("architecture     qwen3\n"));
  EXPECT_THAT(whole.out(), HasSubstr("safetensors in 2 files"));
  WriteDirectory(path_, Cut(Model(), kWeights, 1));
  ChildProcess cut({INTACTKV_BINARY, "model", "inspect", path_});
  EXPECT_EQ(cut.Wait(), 1);
  EXPECT_THAT(cut.err(), HasSubstr("lm_head.weight"));
}

TEST_F(DamagedDirectoryTest, ADirectoryWithoutTokenizerIsNotServed) {
  WriteDirectory(path_, Model());
  ExpectRefused("tokenizer.json");
}

}  // namespace
}  // namespace intactkv::test
