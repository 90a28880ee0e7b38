// The CPU backend end to end on a tiny random model: against a naive forward pass in double, and
// against itself under other chunks, batches and thread counts, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/row_ops.h"

namespace intactkv {
namespace {

constexpr int kLayers = 2;
constexpr int kHidden = 192;
constexpr int kFfn = 320;
constexpr int kQHeads = 3;
constexpr int kDim = 64;
constexpr int kVocab = 203;

struct Matrix {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<float> values;
};

Matrix RandomMatrix(int64_t rows, int64_t cols, Rng& rng) {
  Matrix out{rows, cols, std::vector<float>(static_cast<size_t>(rows * cols))};
  const double scale = 3.0 / std::sqrt(static_cast<double>(cols));
  for (float& v : out.values) v = static_cast<float>((rng.Unit() - 0.5) * scale);
  return out;
}

std::vector<float> RandomNorm(Rng& rng) {
  std::vector<float> out(kHidden);
  for (float& v : out) v = static_cast<float>(0.5 + rng.Unit());
  return out;
}

struct Layer {
  std::vector<float> attention_norm, mlp_norm, q_bias;
  Matrix q, k, v, o, gate, up, down;
};

struct Model {
  explicit Model(uint64_t seed) {
    Rng rng(seed);
    embedding = RandomMatrix(kVocab, kHidden, rng);
    for (int i = 0; i < kLayers; ++i) {
      layers.push_back({RandomNorm(rng), RandomNorm(rng), std::vector<float>(kQHeads * kDim),
                        RandomMatrix(kQHeads * kDim, kHidden, rng),
                        RandomMatrix(kDim, kHidden, rng), RandomMatrix(kDim, kHidden, rng),
                        RandomMatrix(kHidden, kQHeads * kDim, rng),
                        RandomMatrix(kFfn, kHidden, rng), RandomMatrix(kFfn, kHidden, rng),
                        RandomMatrix(kHidden, kFfn, rng)});
      for (float& b : layers.back().q_bias) b = static_cast<float>(rng.Unit() - 0.5);
    }
    norm = RandomNorm(rng);
  }
  Matrix embedding;  // tied head
  std::vector<Layer> layers;
  std::vector<float> norm;
};

ModelShape Shape() {
  ModelShape out;
  out.num_layers = kLayers;
  out.hidden = kHidden;
  out.ffn = kFfn;
  out.num_q_heads = kQHeads;
  out.num_kv_heads = 1;
  out.head_dim = kDim;
  out.vocab = kVocab;
  for (int i = 0; i < kDim / 2; ++i) {
    out.rope_inv_freq.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / kDim)));
  }
  return out;
}

// ---- naive forward pass in double ----

using Row = std::vector<double>;

Row Times(const Matrix& w, const Row& x) {
  Row out(static_cast<size_t>(w.rows));
  for (size_t n = 0; n < out.size(); ++n) {
    for (size_t k = 0; k < x.size(); ++k) {
      out[n] += static_cast<double>(w.values[n * x.size() + k]) * x[k];
    }
  }
  return out;
}

std::vector<float> ToFloats(const Row& x) { return {x.begin(), x.end()}; }

Row RotateHead(const Row& x, size_t head, size_t position) {
  const std::vector<float> all = ToFloats(x);
  return ref::Rope({&all[head * kDim], kDim}, static_cast<int64_t>(position), Shape().rope_inv_freq,
                   true);
}

Row Attend(const Row& q, const std::vector<Row>& keys, const std::vector<Row>& values,
           size_t position) {
  Row out;
  for (size_t h = 0; h < kQHeads; ++h) {
    const Row rotated = RotateHead(q, h, position);
    Row scores(position + 1);
    for (size_t t = 0; t <= position; ++t) {
      for (size_t d = 0; d < kDim; ++d) scores[t] += rotated[d] * keys[t][d] * 0.125;
    }
    const double max = *std::max_element(scores.begin(), scores.end());
    double sum = 0.0;
    Row mixed(kDim);
    for (size_t t = 0; t <= position; ++t) {
      const double p = std::exp(scores[t] - max);
      sum += p;
      for (size_t d = 0; d < kDim; ++d) mixed[d] += p * values[t][d];
    }
    for (const double v : mixed) out.push_back(v / sum);
  }
  return out;
}

void NaiveLayer(const Layer& layer, std::vector<Row>& residual) {
  std::vector<Row> keys, values;
  for (size_t t = 0; t < residual.size(); ++t) {
    const Row x = ref::RmsNorm(ToFloats(residual[t]), layer.attention_norm, 1e-5);
    keys.push_back(RotateHead(Times(layer.k, x), 0, t));
    values.push_back(Times(layer.v, x));
    Row q = Times(layer.q, x);
    for (size_t i = 0; i < q.size(); ++i) q[i] += static_cast<double>(layer.q_bias[i]);
    const Row o = Times(layer.o, Attend(q, keys, values, t));
    for (size_t i = 0; i < kHidden; ++i) residual[t][i] += o[i];
    const Row n = ref::RmsNorm(ToFloats(residual[t]), layer.mlp_norm, 1e-5);
    Row gated = Times(layer.gate, n);
    const Row up = Times(layer.up, n);
    for (size_t i = 0; i < gated.size(); ++i) gated[i] = ref::SiluMul(gated[i], up[i]);
    const Row down = Times(layer.down, gated);
    for (size_t i = 0; i < kHidden; ++i) residual[t][i] += down[i];
  }
}

std::vector<Row> NaiveLogits(const Model& model, const std::vector<int32_t>& tokens) {
  std::vector<Row> residual;
  for (const int32_t token : tokens) {
    const auto row = model.embedding.values.begin() + int64_t{token} * kHidden;
    residual.emplace_back(row, row + kHidden);
  }
  for (const Layer& layer : model.layers) NaiveLayer(layer, residual);
  std::vector<Row> out;
  for (const Row& r : residual) {
    out.push_back(Times(model.embedding, ref::RmsNorm(ToFloats(r), model.norm, 1e-5)));
  }
  return out;
}

// ---- the backend ----

struct Config {
  Isa isa = Isa::kScalar;
  int threads = 1;
  WeightFormat weights = WeightFormat::kF32;
  ActivationFormat activations = ActivationFormat::kF32;
  KvFormat stored = kKvF32;
};

// Loaded weights, pools and a context; runs rows of sequences. Sequence s owns hot slot s and
// stored pages [8 s, 8 s + 8).
class Server {
 public:
  Server(const Model& model, const Config& config) : model_(model) {
    backend_ = MakeCpuBackend(config.isa, config.threads).value();
    table_ = Load(model.embedding,
                  config.weights == WeightFormat::kInt4 ? WeightFormat::kInt8 : config.weights);
    for (const Layer& layer : model.layers) {
      layers_.push_back({Load(layer.q, config.weights), Load(layer.k, config.weights),
                         Load(layer.v, config.weights), Load(layer.o, config.weights),
                         Load(layer.gate, config.weights), Load(layer.up, config.weights),
                         Load(layer.down, config.weights)});
    }
    const KvShape kv{kLayers, 1, kDim};
    stored_ = backend_->CreateKvPool(MakeClassLayout(kv, config.stored), 32).value();
    hot_ = backend_->CreateKvPool(MakeClassLayout(kv, kKvF32), 4).value();
    options_.shape = Shape();
    options_.activations = config.activations;
    options_.kv = {.pinned = nullptr, .stored = stored_.get(), .hot = hot_.get()};
    options_.max_rows = 128;
    options_.max_sequences = 4;
    options_.max_context = 256;
    options_.max_logits_rows = 4;
    context_ = backend_->CreateContext(options_).value();
  }

  ComputeContext& context() { return *context_; }
  Backend& backend() { return *backend_; }
  const ContextOptions& options() const { return options_; }

  struct Piece {
    int sequence;
    std::vector<int32_t> tokens;
    int first_position;
  };

  static Batch MakeBatch(const std::vector<Piece>& pieces) {
    Batch batch;
    for (const Piece& piece : pieces) {
      BatchSequence s;
      s.first_row = batch.num_rows();
      s.num_rows = static_cast<int32_t>(piece.tokens.size());
      s.first_position = piece.first_position;
      const int end = piece.first_position + s.num_rows;
      s.stored_begin = static_cast<int32_t>(batch.stored_entries.size());
      s.num_stored = BlocksFor(end);
      s.hot_slot = piece.sequence;
      for (int page = 0; page < s.num_stored; ++page) {
        batch.stored_entries.push_back({PageClass::kStored, 8 * piece.sequence + page});
        if ((page + 1) * kPageTokens > piece.first_position && (page + 1) * kPageTokens <= end) {
          batch.promotions.push_back(
              {static_cast<int32_t>(batch.sequences.size()), page, kPageTokens});
        }
      }
      for (int i = 0; i < s.num_rows; ++i) {
        batch.tokens.push_back(piece.tokens[static_cast<size_t>(i)]);
        batch.positions.push_back(piece.first_position + i);
      }
      batch.sequences.push_back(s);
      batch.logits_rows.push_back(batch.num_rows() - 1);
    }
    return batch;
  }

  // Logits of the last row of each piece.
  std::vector<float> Step(const std::vector<Piece>& pieces) {
    batch_ = MakeBatch(pieces);
    const absl::Status begun = context_->Begin(batch_);
    EXPECT_TRUE(begun.ok()) << begun;
    context_->Embed(*table_);
    for (size_t l = 0; l < kLayers; ++l) {
      const Loaded& w = layers_[l];
      AttentionWeights attention;
      attention.norm = model_.layers[l].attention_norm;
      attention.q = w.q.get();
      attention.k = w.k.get();
      attention.v = w.v.get();
      attention.o = w.o.get();
      attention.q_bias = model_.layers[l].q_bias;
      MlpWeights mlp;
      mlp.norm = model_.layers[l].mlp_norm;
      mlp.gate = w.gate.get();
      mlp.up = w.up.get();
      mlp.down = w.down.get();
      context_->QkvAppend(static_cast<int>(l), attention);
      context_->Attention(static_cast<int>(l));
      context_->OutProj(attention);
      context_->Mlp(mlp);
    }
    context_->Logits(model_.norm, *table_);
    return {context_->logits().begin(), context_->logits().end()};
  }

 private:
  struct Loaded {
    std::unique_ptr<Linear> q, k, v, o, gate, up, down;
  };
  std::unique_ptr<Linear> Load(const Matrix& m, WeightFormat format) {
    LinearSpec spec;
    spec.tensor = {.name = "w",
                   .type = TensorType::kF32,
                   .rows = m.rows,
                   .cols = m.cols,
                   .data = reinterpret_cast<const std::byte*>(m.values.data())};
    spec.format = format;
    return backend_->LoadLinear(spec).value();
  }

  const Model& model_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Linear> table_;
  std::vector<Loaded> layers_;
  std::unique_ptr<KvPool> stored_, hot_;
  ContextOptions options_;
  std::unique_ptr<ComputeContext> context_;
  Batch batch_;
};

std::vector<int32_t> RandomTokens(int n, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(rng.Below(kVocab)));
  return out;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class BackendTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (GetParam() > HostIsa()) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam());
  }
};

TEST_P(BackendTest, FullPrecisionFollowsTheNaivePassInDouble) {
  const Model model(1);
  const std::vector<int32_t> tokens = RandomTokens(75, 2);
  const std::vector<Row> want = NaiveLogits(model, tokens);
  Server server(model, {.isa = GetParam(), .threads = 2});
  for (size_t done = 0; done < tokens.size();) {
    const size_t n = std::min<size_t>(done == 0 ? 70 : 1, tokens.size() - done);
    const std::vector<int32_t> part(tokens.begin() + static_cast<std::ptrdiff_t>(done),
                                    tokens.begin() + static_cast<std::ptrdiff_t>(done + n));
    const std::vector<float> got = server.Step({{0, part, static_cast<int>(done)}});
    done += n;
    double max = 0.0;
    for (const double v : want[done - 1]) max = std::max(max, std::fabs(v));
    EXPECT_GT(max, 0.1);
    for (size_t i = 0; i < kVocab; ++i) EXPECT_NEAR(got[i], want[done - 1][i], 1e-5 * max);
    EXPECT_FALSE(server.context().health()[0].non_finite);
  }
}

// A token's logits do not depend on chunks, companions or threads, in any configuration.
TEST_P(BackendTest, ChunksBatchesAndThreadsChangeNoBit) {
  const Model model(3);
  const std::vector<int32_t> a = RandomTokens(75, 4);
  const std::vector<int32_t> b = RandomTokens(40, 5);
  std::vector<std::vector<float>> seen;
  for (const WeightFormat weights :
       {WeightFormat::kF32, WeightFormat::kInt4, WeightFormat::kInt8}) {
    for (const ActivationFormat act : {ActivationFormat::kF32, ActivationFormat::kInt8}) {
      const KvFormat stored = weights == WeightFormat::kF32 ? kKvF32 : kKvI8C;
      Config config{GetParam(), 1, weights, act, stored};
      Server solo(model, config);
      const std::vector<float> want = solo.Step({{0, a, 0}});
      for (const std::vector<float>& other : seen) {
        // Only f32 weights ignore the activation format.
        EXPECT_EQ(SameBits(other, want),
                  weights == WeightFormat::kF32 && act == ActivationFormat::kInt8);
      }
      seen.push_back(want);
      config.threads = 2;
      Server busy(model, config);
      std::vector<float> got;
      size_t at = 0;
      for (const size_t n : {size_t{1}, size_t{31}, size_t{33}, size_t{9}, size_t{1}}) {
        const std::vector<int32_t> part(a.begin() + static_cast<std::ptrdiff_t>(at),
                                        a.begin() + static_cast<std::ptrdiff_t>(at + n));
        got = busy.Step({{1, b, 0}, {0, part, static_cast<int>(at)}});
        at += n;
      }
      EXPECT_TRUE(SameBits({got.begin() + kVocab, got.end()}, want))
          << static_cast<int>(weights) << " " << static_cast<int>(act);
    }
  }
}

TEST_P(BackendTest, NonFiniteValuesAreBlamedOnTheirSequence) {
  Model model(6);
  model.embedding.values[5 * kHidden + 7] = HUGE_VALF;  // token 5
  for (const ActivationFormat act : {ActivationFormat::kF32, ActivationFormat::kInt8}) {
    Server server(model, {.isa = GetParam(), .activations = act});
    // Its embedding row is also head row 5, so every logit row would be infinite: look at K and V
    // through a table without it instead.
    server.Step({{0, {1, 2, 3}, 0}, {1, {5}, 0}});
    EXPECT_TRUE(server.context().health()[1].non_finite);
  }
  Model clean(6);
  clean.layers[1].down.values[0] = HUGE_VALF;  // after the last K and V: only logits see it
  Server server(clean, {.isa = GetParam()});
  server.Step({{0, {1, 2, 3}, 0}});
  EXPECT_TRUE(server.context().health()[0].non_finite);
}

TEST_P(BackendTest, SamplesFromItsLogits) {
  const Model model(7);
  Server server(model, {.isa = GetParam(), .threads = 2});
  const std::vector<float> logits = server.Step({{0, {9, 8}, 0}, {1, {7}, 0}});
  std::vector<SampleRow> rows(2);
  rows[0].params.temperature = 0.0f;
  rows[1].params.temperature = 0.0f;
  rows[1].params.num_logprobs = 2;
  std::vector<SampledToken> out(2);
  server.context().Sample(rows, out);
  for (size_t i = 0; i < 2; ++i) {
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(i * kVocab);
    EXPECT_EQ(out[i].token.value, std::max_element(begin, begin + kVocab) - begin);
  }
  EXPECT_TRUE(out[0].top.empty());
  ASSERT_EQ(out[1].top.size(), 2u);
  EXPECT_EQ(out[1].top[0].token, out[1].token);
}

TEST_P(BackendTest, ResultsOutliveTheBatch) {
  const Model model(7);
  Server server(model, {.isa = GetParam()});
  Batch batch = Server::MakeBatch({{0, {9, 8}, 0}, {1, {7}, 0}});
  ASSERT_TRUE(server.context().Begin(batch).ok());
  batch = Batch();  // as good as destroyed
  EXPECT_EQ(server.context().health().size(), 2u);
  EXPECT_EQ(server.context().logits().size(), size_t{2 * kVocab});
  EXPECT_FALSE(server.context().Begin(batch).ok());
  EXPECT_TRUE(server.context().health().empty());
  EXPECT_TRUE(server.context().logits().empty());
}

TEST_P(BackendTest, BeginRefusesWhatDoesNotFit) {
  const Model model(8);
  Server server(model, {.isa = GetParam()});
  const auto refused = [&](const Batch& batch) {
    return server.context().Begin(batch).code() == absl::StatusCode::kInvalidArgument;
  };
  const Batch good = Server::MakeBatch({{0, RandomTokens(128, 9), 0}});
  EXPECT_TRUE(server.context().Begin(good).ok());
  EXPECT_TRUE(refused(Server::MakeBatch({{0, RandomTokens(129, 9), 0}})));
  Batch bad = good;
  bad.tokens[3] = kVocab;
  EXPECT_TRUE(refused(bad));
  bad.tokens[3] = -1;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.positions.back() = 256;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.logits_rows = {0, 1, 2, 127};
  EXPECT_TRUE(server.context().Begin(bad).ok());
  bad.logits_rows = {0, 1, 2, 3, 127};
  EXPECT_TRUE(refused(bad));
  bad.logits_rows = {3, 3};
  EXPECT_TRUE(refused(bad));
  bad.logits_rows = {128};
  EXPECT_TRUE(refused(bad));
  EXPECT_TRUE(refused(Batch()));
}

TEST_P(BackendTest, NamesItsKernelsAndRefusesShapes) {
  const Model model(8);
  Server server(model, {.isa = GetParam()});
  ContextOptions options = server.options();
  options.activations = ActivationFormat::kInt8;
  const std::string suffix =
      GetParam() == Isa::kAvx512 ? "avx512vnni" : std::string(IsaName(GetParam()));
  const std::vector<KernelChoice> kernels = server.backend().Kernels(options);
  ASSERT_GT(kernels.size(), 4u);
  EXPECT_EQ(kernels[0].kernel, "gemm_w4a8_g32__" + suffix);
  EXPECT_EQ(server.backend().name(), "cpu " + std::string(IsaName(GetParam())));
  EXPECT_GT(server.context().scratch_bytes(), size_t{128} * kFfn * 4);
  options.shape.hidden = 200;
  EXPECT_EQ(server.backend().CreateContext(options).status().code(),
            absl::StatusCode::kUnimplemented);
  options = server.options();
  options.shape.rope_inv_freq.pop_back();
  EXPECT_EQ(server.backend().CreateContext(options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// The bytes are computed before any is taken, and exactly.
TEST_P(BackendTest, RefusesAContextThatNeedsTooMuchMemory) {
  const Model model(8);
  for (const int threads : {1, 2}) {
    Server server(model, {.isa = GetParam(), .threads = threads});
    ContextOptions options = server.options();
    options.max_scratch_bytes = static_cast<int64_t>(server.context().scratch_bytes());
    EXPECT_TRUE(server.backend().CreateContext(options).ok());
    --options.max_scratch_bytes;
    EXPECT_EQ(server.backend().CreateContext(options).status().code(),
              absl::StatusCode::kResourceExhausted);
    options.max_scratch_bytes = int64_t{1} << 30;
    options.max_context = 1 << 24;
    const absl::Status refused = server.backend().CreateContext(options).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("16777216 positions"));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, BackendTest, testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& param) { return std::string(IsaName(param.param)); });

TEST(MakeCpuBackendTest, RefusesNoThreads) {
  EXPECT_EQ(MakeCpuBackend(Isa::kScalar, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace intactkv
