// Each served family against Transformers, in the reference configuration (everything in fp32):
// from a directory of one and of two shards and from GGUF, in every tensor type that is served.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>

#include "engine/checkpoint/opened_model.h"
#include "engine/exec/transformer_executor.h"
#include "kernels/api/page_layout.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/golden/families/family_case.h"
#include "tests/golden/families/family_files.h"
#include "tests/support/reference_llama.h"

namespace intactkv::test {
namespace {

constexpr double kTolerance = 1e-4;  // of the row's largest |logit|

// All tokens of one sequence in one step; every row's logits.
StepPlan WholePlan(const std::vector<int32_t>& tokens) {
  StepPlan plan;
  plan.return_logits = true;
  const int count = static_cast<int>(tokens.size());
  for (int position = 0; position < count; ++position) {
    plan.rows.push_back({TokenId(tokens[static_cast<size_t>(position)]), position, true});
    plan.samples.emplace_back().params.temperature = 0;
  }
  const int num_stored = BlocksFor(count);
  for (int i = 0; i < num_stored; ++i) plan.stored_entries.emplace_back(PageClass::kStored, i);
  plan.sequences.push_back({.num_rows = count, .num_stored = num_stored, .hot_slot = 0});
  for (int block = 0; block < count / kPageTokens; ++block) {
    plan.promotions.push_back({.sequence = 0, .block = block});
  }
  return plan;
}

// [tokens, vocab] of the model at `path`.
std::vector<float> Logits(const std::string& path, const std::vector<int32_t>& tokens,
                          Isa isa = HostIsa()) {
  const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path);
  if (!model.ok()) {
    ADD_FAILURE() << model.status();
    return {};
  }
  const ModelConfig& config = model->config();
  EXPECT_TRUE(CheckContext(model->weights(), config, static_cast<int64_t>(tokens.size())).ok());
  const std::unique_ptr<Backend> backend = MakeCpuBackend(isa, 1).value();
  const KvShape shape = {config.num_layers, config.num_kv_heads, config.head_dim};
  const ClassLayout layout = MakeClassLayout(shape, kKvF32);
  const auto stored = backend->CreateKvPool(layout, 4).value();
  const auto hot = backend->CreateKvPool(layout, 1).value();
  ExecutorOptions options;
  options.activations = ActivationFormat::kF32;
  options.kv = {nullptr, stored.get(), hot.get()};
  options.max_rows = options.max_logits_rows = options.max_context = 128;
  options.max_sequences = 1;
  const absl::StatusOr<std::unique_ptr<TransformerExecutor>> executor = TransformerExecutor::Create(
      LlamaModel::Load(model->weights(), config, *backend, {.format = WeightFormat::kF32}).value(),
      *backend, options);
  const absl::StatusOr<StepResult> result = (*executor)->Execute(WholePlan(tokens));
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  return result->logits;
}

// Rows of `vocab` logits.
void ExpectNear(std::span<const float> got, std::span<const float> want, size_t vocab) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t row = 0; row < want.size(); row += vocab) {
    double largest = 0, worst = 0;
    for (size_t i = row; i < row + vocab; ++i) {
      const double wanted = static_cast<double>(want[i]);
      largest = std::max(largest, std::fabs(wanted));
      worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - wanted));
    }
    EXPECT_LE(worst, kTolerance * largest) << "row " << row / vocab;
  }
}

void ExpectRecorded(const std::vector<float>& logits, const FamilyCase& family) {
  const size_t vocab = family.rows[0].logits.size();
  ASSERT_EQ(logits.size(), vocab * family.tokens.size());
  for (const RecordedRow& row : family.rows) {
    SCOPED_TRACE("position " + std::to_string(row.position));
    const size_t begin = static_cast<size_t>(row.position) * vocab;
    ExpectNear(std::span(logits).subspan(begin, vocab), row.logits, vocab);
  }
}

// How many tensors of the file are in `type`.
int NumTensors(const std::string& path, TensorType type) {
  const absl::StatusOr<GgufFile> file = GgufFile::Open(path);
  int count = 0;
  for (const WeightTensor& tensor : file->tensors()) count += tensor.type == type ? 1 : 0;
  return count;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class FamiliesTest : public ::testing::TestWithParam<std::string> {
 protected:
  FamiliesTest()
      : family_(ReadFamilyCase(GetParam())),
        path_(testing::TempDir() + "/family_" + std::to_string(::getpid()) + "_" + GetParam()) {}
  ~FamiliesTest() override { std::filesystem::remove_all(path_); }

  std::vector<float> OfDirectory(const FamilyFormat& format) {
    WriteDirectory(path_, FamilyDirectory(family_, format));
    return Logits(path_, family_.tokens);
  }
  std::vector<float> OfGguf(TensorType type) {
    std::filesystem::remove_all(path_);
    WriteBytes(path_, FamilyGguf(family_, type).Build().bytes);
    return Logits(path_, family_.tokens);
  }

  const FamilyCase family_;
  const std::string path_;
};

TEST_P(FamiliesTest, ADirectoryGivesTransformersLogits) {
  const std::vector<float> logits = OfDirectory({.type = TensorType::kF32});
  ExpectRecorded(logits, family_);
  // The weights are the same numbers in each form, so the answer has the same bits.
  EXPECT_TRUE(SameBits(logits, OfDirectory({.type = TensorType::kBF16})));
  EXPECT_TRUE(SameBits(logits, OfDirectory({.type = TensorType::kF16})));
  EXPECT_TRUE(SameBits(logits, OfDirectory({.type = TensorType::kBF16, .num_shards = 2})));
}

TEST_P(FamiliesTest, AGgufFileGivesTransformersLogits) {
  const std::vector<float> logits = OfGguf(TensorType::kF32);
  ExpectRecorded(logits, family_);
  EXPECT_TRUE(SameBits(logits, OfGguf(TensorType::kBF16)));
  EXPECT_TRUE(SameBits(logits, OfGguf(TensorType::kF16)));
}

std::vector<std::string> NamesOf(FamilyLevels levels) {
  std::vector<std::string> names = FamilyCaseNames();
  std::erase_if(names, [&](const auto& name) { return ReadFamilyCase(name).levels != levels; });
  return names;
}

class ExactFamiliesTest : public FamiliesTest {};

TEST_P(ExactFamiliesTest, AGgufFileOfEveryBlockedTypeGivesTransformersLogits) {
  const std::vector<float> plain = OfGguf(TensorType::kF32);
  for (const TensorType type :
       {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0,
        TensorType::kQ5_1, TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K,
        TensorType::kQ5_K, TensorType::kQ6_K}) {
    SCOPED_TRACE(TensorTypeName(type));
    const std::vector<float> logits = OfGguf(type);
    EXPECT_GE(NumTensors(path_, type), 15) << "every matrix of two layers, and the embedding";
    ExpectRecorded(logits, family_);
    EXPECT_TRUE(SameBits(logits, plain));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ExactFamiliesTest,
                         ::testing::ValuesIn(NamesOf(FamilyLevels::kExact)),
                         [](const auto& info) { return info.param; });

class RoundedFamiliesTest : public FamiliesTest {};

// Rounding changes the numbers of a plain case, so Transformers' record no longer applies. In its
// place stands the plain forward pass in double precision, once it has given the record for the
// file that is not rounded.
TEST_P(RoundedFamiliesTest, AQuantizedGgufFileGivesTheLogitsOfItsOwnNumbers) {
  const auto reference = [this](TensorType type) {
    const std::vector<std::byte> bytes = FamilyGguf(family_, type).Build().bytes;
    const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "family.gguf");
    const std::vector<double> logits =
        ReferenceLogits(*file, ReadModelConfig(*file).value(), family_.tokens);
    return std::vector<float>(logits.begin(), logits.end());
  };
  ExpectRecorded(reference(TensorType::kF32), family_);
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1}) {
    SCOPED_TRACE(TensorTypeName(type));
    ExpectNear(OfGguf(type), reference(type), family_.rows[0].logits.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RoundedFamiliesTest,
                         ::testing::ValuesIn(NamesOf(FamilyLevels::kPlain)),
                         [](const auto& info) { return info.param; });

TEST_P(FamiliesTest, TheIdentityIsOfTheWeightsNotOfTheFiles) {
  const auto identity = [this](const FamilyFormat& format) {
    WriteDirectory(path_, FamilyDirectory(family_, format));
    const absl::StatusOr<OpenedModel> model = OpenedModel::Open(path_);
    return model.ok() ? ModelIdentity(model->weights(), model->config()) : "";
  };
  const std::string whole = identity({.type = TensorType::kBF16});
  EXPECT_EQ(whole.size(), 64u);
  EXPECT_EQ(whole, identity({.type = TensorType::kBF16, .num_shards = 3}));
  EXPECT_NE(whole, identity({.type = TensorType::kF16}));
}

INSTANTIATE_TEST_SUITE_P(Cases, FamiliesTest, ::testing::ValuesIn(FamilyCaseNames()),
                         [](const auto& info) { return info.param; });

// Of each architecture one: the paths differ in arithmetic, the families in what they ask for.
class FamiliesOfOneArchitectureTest : public FamiliesTest {};

TEST_P(FamiliesOfOneArchitectureTest, EveryInstructionSetGivesTransformersLogits) {
  WriteDirectory(path_, FamilyDirectory(family_, {.type = TensorType::kBF16}));
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > HostIsa()) continue;
    SCOPED_TRACE(IsaName(isa));
    ExpectRecorded(Logits(path_, family_.tokens, isa), family_);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, FamiliesOfOneArchitectureTest,
                         ::testing::Values("llama3_untied", "qwen2_tied", "qwen3_untied"),
                         [](const auto& info) { return info.param; });

TEST(FamilyCasesTest, AllFamiliesAreThere) {
  const std::vector<std::string> names = FamilyCaseNames();
  EXPECT_EQ(names.size(), 22u);
  EXPECT_EQ(NamesOf(FamilyLevels::kPlain).size(), 11u);
  for (const std::string& name : names) {
    const FamilyCase family = ReadFamilyCase(name);
    const bool exact = family.levels == FamilyLevels::kExact;
    EXPECT_EQ(exact, name.ends_with("_wide"));
    EXPECT_EQ(family.tokens.size(), 70u);
    EXPECT_EQ(family.rows.size(), exact ? 2u : 3u);
    EXPECT_EQ(family.rows.back().position, 69) << "rows behind two full pages";
  }
}

}  // namespace
}  // namespace intactkv::test
