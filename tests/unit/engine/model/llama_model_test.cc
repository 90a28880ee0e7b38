#include "engine/model/llama_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_backend.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using test::FakeBackend;
using test::FakeScript;
using test::TinyModelOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A tiny file, parsed, with a fake backend beside it.
struct TinyFile {
  explicit TinyFile(const TinyModelOptions& options)
      : bytes(test::TinyModelBytes(options)),
        file(std::move(GgufFile::Parse(bytes, "tiny.gguf")).value()),
        config(std::move(ReadModelConfig(file)).value()),
        backend(&script) {}
  absl::StatusOr<std::unique_ptr<LlamaModel>> Load(LoadOptions options = {}) {
    return LlamaModel::Load(file, config, backend, options);
  }
  std::vector<std::byte> bytes;
  GgufFile file;
  ModelConfig config;
  FakeScript script;
  FakeBackend backend;
};

WeightFormat FormatOf(const FakeScript& script, const std::string& tensor) {
  for (const LinearSpec& spec : script.loaded) {
    if (spec.tensor.name == tensor) return spec.format;
  }
  ADD_FAILURE() << tensor << " was not loaded";
  return WeightFormat::kBF16;
}

TEST(LlamaModelTest, ForwardRunsThePhasesInOrder) {
  TinyFile setup({.num_layers = 2});
  const std::unique_ptr<LlamaModel> model = std::move(setup.Load()).value();
  ContextOptions options;
  options.shape = model->shape();
  const std::unique_ptr<ComputeContext> context =
      std::move(setup.backend.CreateContext(options)).value();
  Batch batch;
  batch.tokens = {5, 9};
  batch.positions = {0, 1};
  batch.logits_rows = {1};
  std::vector<SampledToken> out(1);
  ASSERT_TRUE(model->Forward(*context, batch, std::vector<SampleRow>(1), out).ok());
  EXPECT_EQ(out[0].token, TokenId(9));
  EXPECT_THAT(
      setup.script.calls,
      ElementsAre("begin", "embed token_embd.weight", "qkv 0 blk.0.attn_q.weight", "attention 0",
                  "out blk.0.attn_output.weight", "mlp blk.0.ffn_gate.weight",
                  "qkv 1 blk.1.attn_q.weight", "attention 1", "out blk.1.attn_output.weight",
                  "mlp blk.1.ffn_gate.weight", "logits token_embd.weight", "sample"));
}

TEST(LlamaModelTest, AnErrorOfBeginEndsTheStepBeforeAnythingIsComputed) {
  TinyFile setup({});
  const std::unique_ptr<LlamaModel> model = std::move(setup.Load()).value();
  const std::unique_ptr<ComputeContext> context =
      std::move(setup.backend.CreateContext({})).value();
  setup.script.begin_status = absl::InvalidArgumentError("broken");
  EXPECT_TRUE(absl::IsInvalidArgument(model->Forward(*context, Batch(), {}, {})));
  EXPECT_THAT(setup.script.calls, ElementsAre("begin"));
}

TEST(LlamaModelTest, TheHeadIsNeverRoundedToFourBits) {
  EXPECT_EQ(HeadFormat(WeightFormat::kInt4, TensorType::kQ4_1), WeightFormat::kInt8);
  EXPECT_EQ(HeadFormat(WeightFormat::kStored, TensorType::kF32), WeightFormat::kInt8);
  EXPECT_EQ(HeadFormat(WeightFormat::kStored, TensorType::kBF16), WeightFormat::kInt8);
  EXPECT_EQ(HeadFormat(WeightFormat::kStored, TensorType::kQ4_1), WeightFormat::kStored);
  EXPECT_EQ(HeadFormat(WeightFormat::kInt8, TensorType::kF32), WeightFormat::kInt8);
  EXPECT_EQ(HeadFormat(WeightFormat::kF32, TensorType::kF32), WeightFormat::kF32);
  for (const bool tied : {true, false}) {
    TinyFile setup({.tied_embeddings = tied});
    ASSERT_TRUE(setup.Load({.format = WeightFormat::kInt4}).ok());
    EXPECT_EQ(FormatOf(setup.script, "token_embd.weight"), WeightFormat::kInt8);
    EXPECT_EQ(FormatOf(setup.script, "blk.1.ffn_down.weight"), WeightFormat::kInt4);
    const std::string head = tied ? "token_embd.weight" : "output.weight";
    EXPECT_EQ(FormatOf(setup.script, head), WeightFormat::kInt8);
    EXPECT_EQ(setup.script.loaded.size(), tied ? 15u : 16u);  // tied: one linear for both uses
  }
}

TEST(LlamaModelTest, ReportsProgressPerTensorUpToTheWhole) {
  TinyFile setup({.tied_embeddings = false, .attention_bias = true});
  std::vector<LoadProgress> reports;
  const absl::StatusOr<std::unique_ptr<LlamaModel>> model =
      setup.Load({.progress = [&](const LoadProgress& p) { reports.push_back(p); }});
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(reports.size(), setup.file.tensors().size());
  for (size_t i = 0; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].tensors_done, static_cast<int>(i) + 1);
    EXPECT_EQ(reports[i].tensors_total, static_cast<int>(reports.size()));
  }
  EXPECT_GT(reports[0].bytes_done, 0);
  EXPECT_EQ(reports.back().bytes_done, reports.back().bytes_total);
  // Fake linears weigh what the file's tensors do, and every tensor is kept.
  EXPECT_EQ((*model)->weight_bytes(), reports.back().bytes_total);
}

// The tensors of another file; notes which are given back, and when.
class WatchedFiles : public WeightFiles {
 public:
  explicit WatchedFiles(const WeightFiles& files) : WeightFiles(TensorNaming::kGguf) {
    for (const WeightTensor& tensor : files.tensors()) AddTensor(tensor);
  }
  void Discard(const WeightTensor& tensor) const override { discarded_.push_back(tensor.name); }
  const std::vector<std::string>& discarded() const { return discarded_; }

 private:
  mutable std::vector<std::string> discarded_;
};

TEST(LlamaModelTest, OneTensorOfTheFilesAtATimeStaysInMemory) {
  TinyFile setup({.num_layers = 1, .architecture = "qwen3"});
  const WatchedFiles files(setup.file);
  size_t reports = 0;
  LoadOptions options;
  options.progress = [&](const LoadProgress&) { EXPECT_EQ(files.discarded().size(), ++reports); };
  ASSERT_TRUE(LlamaModel::Load(files, setup.config, setup.backend, options).ok());
  std::vector<std::string> names;
  for (const WeightTensor& tensor : files.tensors()) names.push_back(tensor.name);
  EXPECT_EQ(reports, names.size());
  EXPECT_THAT(files.discarded(), ::testing::UnorderedElementsAreArray(names));
  (void)ModelIdentity(files, setup.config);
  EXPECT_EQ(files.discarded().size(), 2 * names.size());
}

TEST(LlamaModelTest, DescribesItsFormats) {
  TinyFile tied({.type = TensorType::kQ4_1});
  EXPECT_EQ((*tied.Load())->DescribeFormats(), "14 q4_1, embedding q4_1 (also the head)");
  TinyFile untied({.tied_embeddings = false});
  EXPECT_EQ((*untied.Load())->DescribeFormats(), "14 int4, embedding int8, head int8");
  TinyFile mixed(test::MixedTinyModel());
  EXPECT_EQ((*mixed.Load())->DescribeFormats(),
            "1 int4, 1 q2_k, 1 q3_k, 1 q4_0, 1 q4_1, 2 q4_k, 2 q5_0, 1 q5_1, 2 q5_k, 1 q6_k, "
            "1 q8_0, embedding q6_k (also the head)");
}

TEST(LlamaModelTest, SaysWhichTensorsWereRounded) {
  TinyFile stored({.type = TensorType::kQ4_1});
  EXPECT_EQ((*stored.Load())->DescribeRounding(), "");
  TinyFile floats({.tied_embeddings = false});
  EXPECT_EQ((*floats.Load())->DescribeRounding(), "14 F32 to int4, 2 F32 to int8");
  TinyFile mixed(test::MixedTinyModel());
  EXPECT_EQ((*mixed.Load())->DescribeRounding(), "1 F16 to int4");
  EXPECT_EQ((*mixed.Load({.format = WeightFormat::kF32}))->DescribeRounding(), "");
  EXPECT_THAT((*mixed.Load({.format = WeightFormat::kInt8}))->DescribeRounding(),
              HasSubstr("2 Q6_K to int8"));
}

TEST(LlamaModelTest, ARefusedTensorFailsTheLoadByName) {
  TinyFile setup({});
  setup.script.refuse_tensor = "blk.1.ffn_up.weight";
  const absl::Status status = setup.Load().status();
  EXPECT_TRUE(absl::IsUnimplemented(status));
  EXPECT_THAT(status.ToString(), HasSubstr("blk.1.ffn_up.weight"));
}

TEST(LlamaModelTest, ANormMustBeAFloatVector) {
  test::GgufWriter writer = test::TinyModelWriter({});
  writer.RemoveTensor("output_norm.weight");
  writer.AddTensor("output_norm.weight", TensorType::kQ8_0, {192}, std::vector<float>(192, 1.0f));
  const test::GgufImage image = writer.Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "tiny.gguf");
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  FakeScript script;
  FakeBackend backend(&script);
  EXPECT_THAT(LlamaModel::Load(*file, *config, backend, {}).status().ToString(),
              HasSubstr("tensor 'output_norm.weight': type Q8_0"));
}

}  // namespace
}  // namespace intactkv
