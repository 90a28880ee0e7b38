// The whole path below the scheduler, StepPlan to logits, on the CPU backend against a naive pass
// in double precision: every ISA of this machine, chunks that end inside a page, pins matched whole
// and partly.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "engine/base/rng.h"
#include "engine/exec/transformer_executor.h"
#include "kernels/api/page_layout.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/support/reference_llama.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

constexpr int kNumTokens = 150;
constexpr double kTolerance = 1e-5;  // of the row's largest |logit|, and of the largest |K|, |V|

// The parts of one server in reference configuration, pools of 8 F32 pages.
struct Server {
  Server(Isa isa, const test::TinyModelOptions& options)
      : bytes(test::TinyModelBytes(options)),
        file(GgufFile::Parse(bytes, "tiny.gguf").value()),
        config(ReadModelConfig(file).value()),
        backend(MakeCpuBackend(isa, 2).value()),
        pinned(MakePool()),
        stored(MakePool()),
        hot(MakePool()) {}

  std::unique_ptr<KvPool> MakePool() {
    const KvShape shape = {config.num_layers, config.num_kv_heads, config.head_dim};
    return backend->CreateKvPool(MakeClassLayout(shape, kKvF32), 8).value();
  }

  // Of weights in `format`; activations in fp32, or int8 for weights that take them.
  std::unique_ptr<TransformerExecutor> MakeExecutor(
      const KvView& kv, WeightFormat format = WeightFormat::kF32,
      ActivationFormat activations = ActivationFormat::kF32) {
    ExecutorOptions options;
    options.activations = activations;
    options.kv = kv;
    options.max_rows = 256;
    options.max_sequences = 4;
    options.max_context = 512;
    options.max_logits_rows = 256;
    LoadOptions load;
    load.format = format;
    return TransformerExecutor::Create(LlamaModel::Load(file, config, *backend, load).value(),
                                       *backend, options)
        .value();
  }

  std::vector<std::byte> bytes;
  GgufFile file;
  ModelConfig config;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<KvPool> pinned, stored, hot;
};

std::vector<int32_t> RandomTokens() {
  Rng rng(7);
  std::vector<int32_t> out(kNumTokens);
  for (int32_t& id : out) id = static_cast<int32_t>(rng.Below(320));
  return out;
}

// What one run computes: tokens [c, end) behind a pin of c tokens, in chunks.
struct Run {
  int c = 0;
  int end = kNumTokens;
  int chunk = kNumTokens;
  bool is_build = false;  // also writes the last, partial page
};

StepPlan MakePlan(const Run& run, const std::vector<int32_t>& tokens, int begin) {
  const int end = std::min(begin + run.chunk, run.end);
  StepPlan plan;
  plan.return_logits = true;
  for (int p = begin; p < end; ++p) {
    plan.rows.push_back({TokenId(tokens[static_cast<size_t>(p)]), p, true});
    plan.samples.emplace_back().params.temperature = 0;
  }
  for (int i = 0; i < BlocksFor(run.c); ++i) {
    plan.pinned_entries.emplace_back(PageClass::kPinned, i);
  }
  const int num_stored = BlocksFor(end - run.c);
  for (int i = 0; i < num_stored; ++i) plan.stored_entries.emplace_back(PageClass::kStored, i);
  plan.sequences.push_back({.num_rows = end - begin,
                            .num_pinned_tokens = run.c,
                            .num_stored = num_stored,
                            .hot_slot = 3});
  const int first = (begin - run.c) / kPageTokens, full = (end - run.c) / kPageTokens;
  for (int block = first; block < full; ++block) {
    plan.promotions.push_back({.sequence = 0, .block = block});
  }
  const int rest = (end - run.c) % kPageTokens;
  if (run.is_build && end == run.end && rest != 0) {
    plan.promotions.push_back({.sequence = 0, .block = full, .num_valid = rest});
  }
  return plan;
}

// Logits of the rows c..end; checks each greedy token against them.
std::vector<float> Execute(TransformerExecutor& executor, const Run& run,
                           const std::vector<int32_t>& tokens) {
  std::vector<float> logits;
  for (int begin = run.c; begin < run.end; begin += run.chunk) {
    const absl::StatusOr<StepResult> result = executor.Execute(MakePlan(run, tokens, begin));
    if (!result.ok()) {
      ADD_FAILURE() << result.status();
      return {};
    }
    for (size_t i = 0; i < result->tokens.size(); ++i) {
      const auto row = result->logits.begin() + static_cast<std::ptrdiff_t>(i * 320);
      EXPECT_EQ(result->tokens[i].token.value, std::max_element(row, row + 320) - row);
    }
    EXPECT_FALSE(result->sequences[0].non_finite);
    logits.insert(logits.end(), result->logits.begin(), result->logits.end());
  }
  return logits;
}

void ExpectNear(const std::vector<float>& got, const std::vector<double>& want, int first_row) {
  const size_t rows = got.size() / 320;
  ASSERT_EQ(got.size(), want.size() - static_cast<size_t>(first_row) * 320);
  for (size_t r = 0; r < rows; ++r) {
    const double* expected = want.data() + (r + static_cast<size_t>(first_row)) * 320;
    double largest = 0, worst = 0;
    for (size_t i = 0; i < 320; ++i) {
      largest = std::max(largest, std::fabs(expected[i]));
      worst = std::max(worst, std::fabs(static_cast<double>(got[r * 320 + i]) - expected[i]));
    }
    ASSERT_LE(worst, kTolerance * largest) << "row " << r;
  }
}

class OracleTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (GetParam() > HostIsa()) GTEST_SKIP() << "this CPU lacks " << IsaName(GetParam());
  }
};

TEST_P(OracleTest, LogitsOfEveryPositionWhateverTheChunks) {
  const std::vector<int32_t> tokens = RandomTokens();
  for (const test::TinyModelOptions& options :
       {test::TinyModelOptions{}, test::TinyModelOptions{.seed = 3,
                                                         .tied_embeddings = false,
                                                         .attention_bias = true,
                                                         .type = TensorType::kQ4_1}}) {
    Server server(GetParam(), options);
    const std::vector<double> want = test::ReferenceLogits(server.file, server.config, tokens);
    const auto executor =
        server.MakeExecutor({server.pinned.get(), server.stored.get(), server.hot.get()});
    const std::vector<float> whole = Execute(*executor, {}, tokens);
    ExpectNear(whole, want, 0);
    for (const int chunk : {1, 7, 32, 33}) {
      SCOPED_TRACE(chunk);
      const std::vector<float> chunked = Execute(*executor, {.chunk = chunk}, tokens);
      // One answer whatever the chunks: to the last bit.
      ASSERT_EQ(chunked.size(), whole.size());
      EXPECT_EQ(std::memcmp(chunked.data(), whole.data(), whole.size() * sizeof(float)), 0);
    }
  }
}

// A model whose matrices have every blocked type in turn, each as the embedding (and head) once:
// the containers' numbers are the file's. With int8 activations the answer is another, but one
// answer.
TEST_P(OracleTest, StoredWeightsOfEveryTypeGiveTheFilesLogits) {
  const std::vector<int32_t> tokens = RandomTokens();
  test::TinyModelOptions options = test::MixedTinyModel();
  std::erase(options.mix, TensorType::kF16);  // stored means int4 for it
  for (size_t turn = 0; turn < options.mix.size(); ++turn) {
    SCOPED_TRACE(turn);
    std::rotate(options.mix.begin(), options.mix.begin() + 1, options.mix.end());
    Server server(GetParam(), options);
    const KvView kv = {server.pinned.get(), server.stored.get(), server.hot.get()};
    const std::vector<double> want =
        test::ReferenceLogits(server.file, server.config, std::span(tokens).first(40));
    const auto exact = server.MakeExecutor(kv, WeightFormat::kStored);
    ExpectNear(Execute(*exact, {.end = 40}, tokens), want, 0);
    const auto served = server.MakeExecutor(kv, WeightFormat::kStored, ActivationFormat::kInt8);
    const std::vector<float> whole = Execute(*served, {.end = 40}, tokens);
    for (const int chunk : {1, 7, 33}) {
      const std::vector<float> chunked = Execute(*served, {.end = 40, .chunk = chunk}, tokens);
      ASSERT_EQ(chunked.size(), whole.size());
      EXPECT_EQ(std::memcmp(chunked.data(), whole.data(), whole.size() * sizeof(float)), 0);
    }
  }
}

TEST_P(OracleTest, LogitsOfOtherArchitecturesInChunks) {
  std::vector<int32_t> tokens = RandomTokens();
  tokens.resize(70);
  for (const char* architecture : {"qwen2", "qwen3"}) {
    SCOPED_TRACE(architecture);
    Server server(GetParam(), {.num_layers = 1, .architecture = architecture});
    const auto executor =
        server.MakeExecutor({server.pinned.get(), server.stored.get(), server.hot.get()});
    ExpectNear(Execute(*executor, {.end = 70, .chunk = 33}, tokens),
               test::ReferenceLogits(server.file, server.config, tokens), 0);
  }
}

TEST_P(OracleTest, LogitsBehindAPinMatchedWholeOrPartly) {
  const std::vector<int32_t> tokens = RandomTokens();
  Server server(GetParam(), {.architecture = "qwen3"});
  const std::vector<double> want = test::ReferenceLogits(server.file, server.config, tokens);
  constexpr int kPinTokens = 77;
  const auto builder = server.MakeExecutor({nullptr, server.pinned.get(), server.hot.get()});
  ASSERT_FALSE(Execute(*builder, {.end = kPinTokens, .is_build = true}, tokens).empty());
  const auto executor =
      server.MakeExecutor({server.pinned.get(), server.stored.get(), server.hot.get()});
  const std::vector<PageEntry> pin = {PageEntry(PageClass::kPinned, 0),
                                      PageEntry(PageClass::kPinned, 1),
                                      PageEntry(PageClass::kPinned, 2)};
  const std::string checksum = executor->PageChecksum(pin);
  EXPECT_EQ(checksum, builder->PageChecksum(pin));
  for (const int c : {1, 31, 32, 33, 64, 76, 77}) {
    SCOPED_TRACE(c);
    ExpectNear(Execute(*executor, {.c = c, .chunk = 40}, tokens), want, c);
  }
  EXPECT_EQ(checksum, executor->PageChecksum(pin));
}

TEST_P(OracleTest, APinHoldsTheKeysAndValuesOfTheFullPrecisionPass) {
  const std::vector<int32_t> tokens = RandomTokens();
  Server server(GetParam(), {});
  constexpr int kPinTokens = 45;
  const auto builder = server.MakeExecutor({nullptr, server.pinned.get(), server.hot.get()});
  ASSERT_FALSE(Execute(*builder, {.end = kPinTokens, .is_build = true}, tokens).empty());
  const test::ReferenceRun want =
      test::RunReference(server.file, server.config, std::span(tokens).first(kPinTokens));
  std::vector<float> page(CanonicalPageBytes(server.pinned->layout()) / sizeof(float));
  for (int slot = 0; slot < 2; ++slot) {
    server.pinned->ExportPage(slot, std::as_writable_bytes(std::span(page)));
    // [layer][head][K, V][token][dim]
    for (size_t i = 0; i < page.size(); ++i) {
      const size_t dim = i % 64, token = i / 64 % 32, is_v = i / 2048 % 2, head = i / 4096 % 2;
      const size_t layer = i / 8192;
      const size_t position = token + static_cast<size_t>(slot) * 32;
      if (position >= kPinTokens) {
        ASSERT_EQ(page[i], 0.0f) << "the tail of the last page is zero";
        continue;
      }
      const std::vector<double>& side = is_v == 1 ? want.values[layer] : want.keys[layer];
      ASSERT_NEAR(static_cast<double>(page[i]), side[position * 128 + head * 64 + dim],
                  kTolerance * 8)
          << "layer " << layer << " head " << head << " position " << position;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, OracleTest, ::testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& info) { return std::string(IsaName(info.param)); });

}  // namespace
}  // namespace intactkv
