// `intactkv serve` on damaged model files: a non-zero exit code and one line that names the tensor
// or the field, never a crash. The same file undamaged serves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/gguf_damage.h"
#include "tests/support/tiny_model.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

GgufWriter Model() { return TinyModelWriter({.num_layers = 1, .context_length = 256}); }

// One field of `kind` of `owner` set to `value`.
std::vector<std::byte> WithField(GgufFieldKind kind, const std::string& owner, uint64_t value) {
  GgufImage image = Model().Build();
  for (const GgufField& field : image.fields) {
    if (field.kind != kind || field.owner != owner) continue;
    std::memcpy(image.bytes.data() + field.offset, &value, field.size);
    return image.bytes;
  }
  ADD_FAILURE() << "the file has no such field of " << owner;
  return {};
}

std::vector<std::byte> Changed(const std::function<void(GgufWriter&)>& change) {
  GgufWriter writer = Model();
  change(writer);
  return writer.Build().bytes;
}

std::vector<std::byte> Cut(size_t size_from_end) {
  std::vector<std::byte> bytes = Model().Build().bytes;
  bytes.resize(bytes.size() - size_from_end);
  return bytes;
}

struct Damage {
  const char* what;
  std::vector<std::byte> bytes;
  const char* named;  // in the line
};

std::vector<Damage> HeaderDamage() {
  return {
      {"no byte at all", {}, "is empty"},
      {"no GGUF", std::vector<std::byte>(1000, std::byte{'x'}), "magic"},
      {"another magic", WithField(GgufFieldKind::kMagic, "", 0x12345678), "magic"},
      {"another version", WithField(GgufFieldKind::kVersion, "", 99), "version 99"},
      {"too many tensors", WithField(GgufFieldKind::kTensorCount, "", ~uint64_t{0}), "tensor"},
      {"too many keys", WithField(GgufFieldKind::kKeyCount, "", uint64_t{1} << 60),
       "metadata count"},
  };
}

std::vector<Damage> MetadataDamage() {
  const char* layers = "llama.block_count";
  return {
      {"a string beyond the file",
       WithField(GgufFieldKind::kStringLength, "general.name", uint64_t{1} << 63), "general.name"},
      {"an array beyond the file",
       WithField(GgufFieldKind::kArrayLength, "tokenizer.ggml.token_type", uint64_t{1} << 60),
       "tokenizer.ggml.token_type"},
      {"a value of no type", WithField(GgufFieldKind::kValueType, layers, 77), layers},
      {"a text for a number", Changed([&](GgufWriter& w) {
         w.RemoveKey(layers);
         w.AddString(layers, "one");
       }),
       layers},
      {"a key missing", Changed([](GgufWriter& w) { w.RemoveKey("llama.embedding_length"); }),
       "llama.embedding_length"},
      {"a key twice", Changed([&](GgufWriter& w) { w.AddUint32(layers, 1); }), layers},
      {"no heads", WithField(GgufFieldKind::kValue, "llama.attention.head_count", 0),
       "llama.attention.head_count"},
      {"an unknown architecture", Changed([](GgufWriter& w) {
         w.RemoveKey("general.architecture");
         w.AddString("general.architecture", "perceptron");
       }),
       "general.architecture"},
      {"a template that does not compile", Changed([](GgufWriter& w) {
         w.RemoveKey("tokenizer.chat_template");
         w.AddString("tokenizer.chat_template", "{% for m in messages %}{{ m");
       }),
       "chat_template"},
      {"a merge of tokens that are not there", Changed([](GgufWriter& w) {
         w.RemoveKey("tokenizer.ggml.merges");
         w.AddStringArray("tokenizer.ggml.merges", {"nothing here"});
       }),
       "tokenizer.ggml.merges"},
      {"a line break in a merge", Changed([](GgufWriter& w) {
         w.RemoveKey("tokenizer.ggml.merges");
         w.AddStringArray("tokenizer.ggml.merges", {"two\nlines\x1b[2J here"});
       }),
       "tokenizer.ggml.merges"},
  };
}

std::vector<Damage> TensorDamage() {
  const char* up = "blk.0.ffn_up.weight";
  return {
      {"cut in the last tensor", Cut(1), "output_norm.weight"},
      {"a type that is not known", WithField(GgufFieldKind::kTensorType, up, 200), up},
      {"a dimension too large", WithField(GgufFieldKind::kDimension, up, uint64_t{1} << 62), up},
      {"a dimension less", WithField(GgufFieldKind::kDimension, up, 96), "blk.0.ffn_down.weight"},
      {"another shape", Changed([&](GgufWriter& w) {
         w.RemoveTensor(up);
         w.AddTensor(up, TensorType::kF32, {256, 192}, std::vector<float>(192 * 256));
       }),
       up},
      {"too many dimensions", WithField(GgufFieldKind::kNumDimensions, up, 9), up},
      {"an offset beyond the file", WithField(GgufFieldKind::kOffset, up, uint64_t{1} << 40), up},
      {"an offset between two places", WithField(GgufFieldKind::kOffset, up, 33), up},
      {"a tensor missing", Changed([&](GgufWriter& w) { w.RemoveTensor(up); }), up},
      {"a line break in a name", Changed([&](GgufWriter& w) {
         w.AddTensor("two\nlines\x1b[2J", TensorType::kF32, {32}, std::vector<float>(32));
       }),
       "two"},
      {"a tensor twice", Changed([&](GgufWriter& w) {
         w.AddTensor(up, TensorType::kF32, {32}, std::vector<float>(32));
       }),
       up},
  };
}

std::vector<std::string> ServeArgs(const std::string& path) {
  return {INTACTKV_BINARY, "serve", "--model",   path, "--port",          "0", "--admin-port", "0",
          "--grpc-port",   "0",     "--threads", "1",  "--kv-pool-bytes", "1M"};
}

class DamagedModelTest : public ::testing::Test {
 protected:
  DamagedModelTest()
      : path_(testing::TempDir() + "/damaged_" + std::to_string(::getpid()) + ".gguf") {}
  ~DamagedModelTest() override { std::remove(path_.c_str()); }

  void ExpectRefused(const std::string& path, const std::string& named) {
    ChildProcess serve(ServeArgs(path));
    EXPECT_EQ(serve.Wait(), 1);
    EXPECT_THAT(serve.err(), StartsWith("intactkv: "));
    EXPECT_EQ(serve.err().find('\n'), serve.err().size() - 1) << serve.err();
    EXPECT_EQ(serve.err().find('\x1b'), std::string::npos) << "no word of the file's to a terminal";
    EXPECT_LT(serve.err().size(), 400u) << serve.err();
    EXPECT_THAT(serve.err(), HasSubstr(path)) << "which file";
    EXPECT_THAT(serve.err(), HasSubstr(named));
    EXPECT_EQ(serve.out().find("ready"), std::string::npos);
  }
  void CheckAll(const std::vector<Damage>& damages) {
    for (const Damage& damage : damages) {
      SCOPED_TRACE(damage.what);
      std::remove(path_.c_str());
      WriteBytes(path_, damage.bytes);
      ExpectRefused(path_, damage.named);
    }
  }

  const std::string path_;
};

TEST_F(DamagedModelTest, Header) { CheckAll(HeaderDamage()); }
TEST_F(DamagedModelTest, Metadata) { CheckAll(MetadataDamage()); }
TEST_F(DamagedModelTest, Tensors) { CheckAll(TensorDamage()); }

TEST_F(DamagedModelTest, RandomStructuralDamage) {
  const GgufImage image = Model().Build();
  int refused = 0;
  for (int i = 0; refused < 12; ++i) {
    const DamagedFile damaged = DamageGguf(image, /*seed=*/9, i);
    if (!damaged.structural) continue;
    SCOPED_TRACE(damaged.what);
    ++refused;
    std::remove(path_.c_str());
    WriteBytes(path_, damaged.bytes);
    ExpectRefused(path_, "");
  }
}

TEST_F(DamagedModelTest, WhatIsNoFile) {
  ExpectRefused(testing::TempDir() + "/nothing_is_here.gguf", "");
  ExpectRefused(testing::TempDir(), "");
}

TEST_F(DamagedModelTest, TheFileWithoutDamageServes) {
  WriteBytes(path_, Model().Build().bytes);
  ChildProcess serve(ServeArgs(path_));
  EXPECT_EQ(serve.AwaitLine("ready"), "ready");
  serve.Signal(SIGTERM);
  EXPECT_EQ(serve.Wait(), 0) << serve.err();
}

}  // namespace
}  // namespace intactkv::test
