// Linears and whole steps in the shapes of SmolLM2-135M (30 layers, hidden 576, ffn 1536, 9 query
// and 3 KV heads of 64, tied Q8_0 head of 49152), random Q4_1 weights.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/cpu_linear.h"
#include "kernels/quant/half.h"

namespace intactkv {
namespace {

std::unique_ptr<Linear> RandomLinear(Backend& backend, TensorType type, int64_t rows,
                                     int64_t cols) {
  const auto block = static_cast<BlockType>(type);
  std::vector<std::byte> bytes(static_cast<size_t>(rows) * RowBytes(block, cols));
  Rng rng(static_cast<uint64_t>(rows * cols));
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  const auto put = [&bytes](size_t at, float value) {
    const uint16_t half = FloatToHalf(value);
    std::memcpy(&bytes[at], &half, sizeof(half));
  };
  const bool k_quant = BlockColumns(block) == kSuperBlock;
  for (size_t at = 0; at < bytes.size(); at += BlockBytes(block)) {
    put(at, type == TensorType::kQ8_0 ? 2e-4f : k_quant ? 1e-4f : 3e-3f);
    if (StoredCodeFormat(block).has_minimum) put(at + 2, k_quant ? 1e-4f : -2.2e-2f);
    if (type == TensorType::kQ6_K) put(at + BlockBytes(block) - 2, 1e-5f);
  }
  LinearSpec spec;
  spec.tensor = {.name = "random", .type = type, .rows = rows, .cols = cols, .data = bytes.data()};
  return backend.LoadLinear(spec).value();
}

class Llama {
 public:
  Llama(int threads, ActivationFormat activations) {
    backend_ = MakeCpuBackend(SelectIsa().value(), threads).value();
    norm_.assign(576, 1.0f);
    head_ = RandomLinear(*backend_, TensorType::kQ8_0, 49152, 576);
    constexpr int64_t kShapes[7][2] = {{576, 576},  {192, 576},  {192, 576}, {576, 576},
                                       {1536, 576}, {1536, 576}, {576, 1536}};
    for (int layer = 0; layer < 30; ++layer) {
      for (const auto& [rows, cols] : kShapes) {
        weights_.push_back(RandomLinear(*backend_, TensorType::kQ4_1, rows, cols));
      }
    }
    const KvShape kv{30, 3, 64};
    stored_ = backend_->CreateKvPool(MakeClassLayout(kv, kKvI8C), 64).value();
    hot_ = backend_->CreateKvPool(MakeClassLayout(kv, kKvF32), 1).value();
    ContextOptions options;
    options.shape = {.num_layers = 30,
                     .hidden = 576,
                     .ffn = 1536,
                     .num_q_heads = 9,
                     .num_kv_heads = 3,
                     .head_dim = 64,
                     .vocab = 49152,
                     .rope_inv_freq = std::vector<float>(32)};
    for (size_t i = 0; i < 32; ++i) {
      options.shape.rope_inv_freq[i] = std::pow(1e5f, -static_cast<float>(i) / 32.0f);
    }
    options.activations = activations;
    options.kv = {.pinned = nullptr, .stored = stored_.get(), .hot = hot_.get()};
    options.max_sequences = 1;
    options.max_context = 2048;
    context_ = backend_->CreateContext(options).value();
  }

  void Step(int first_position, int num_rows) {
    Batch batch;
    BatchSequence s;
    s.num_rows = num_rows;
    s.first_position = first_position;
    s.num_stored = BlocksFor(first_position + num_rows);
    s.hot_slot = 0;
    for (int page = 0; page < s.num_stored; ++page) {
      batch.stored_entries.push_back({PageClass::kStored, page});
      const int end = (page + 1) * kPageTokens;
      if (end > first_position && end <= first_position + num_rows) {
        batch.promotions.push_back({0, page, kPageTokens});
      }
    }
    for (int i = 0; i < num_rows; ++i) {
      batch.tokens.push_back(i * 37 % 49152);
      batch.positions.push_back(first_position + i);
    }
    batch.sequences.push_back(s);
    batch.logits_rows.push_back(num_rows - 1);
    CHECK(context_->Begin(batch).ok());
    context_->Embed(*head_);
    for (int layer = 0; layer < 30; ++layer) RunLayer(layer);
    context_->Logits(norm_, *head_);
  }

 private:
  void RunLayer(int layer) {
    const std::unique_ptr<Linear>* w = &weights_[static_cast<size_t>(layer) * 7];
    AttentionWeights attention;
    attention.norm = norm_;
    attention.q = w[0].get();
    attention.k = w[1].get();
    attention.v = w[2].get();
    attention.o = w[3].get();
    context_->QkvAppend(layer, attention);
    context_->Attention(layer);
    context_->OutProj(attention);
    context_->Mlp({.norm = norm_, .gate = w[4].get(), .up = w[5].get(), .down = w[6].get()});
  }

  std::unique_ptr<Backend> backend_;
  std::vector<float> norm_;
  std::unique_ptr<Linear> head_;
  std::vector<std::unique_ptr<Linear>> weights_;
  std::unique_ptr<KvPool> stored_, hot_;
  std::unique_ptr<ComputeContext> context_;
};

void Decode(benchmark::State& state) {
  Llama llama(static_cast<int>(state.range(0)), static_cast<ActivationFormat>(state.range(1)));
  llama.Step(0, 128);
  int position = 128;
  for (auto _ : state) {
    llama.Step(position, 1);
    position = position == 255 ? 128 : position + 1;
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(Decode)
    ->ArgNames({"threads", "int8"})
    ->Args({1, 1})
    ->Args({2, 1})
    ->Args({2, 0})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void Prefill512(benchmark::State& state) {
  Llama llama(static_cast<int>(state.range(0)), static_cast<ActivationFormat>(state.range(1)));
  for (auto _ : state) llama.Step(0, 512);
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()) * 512.0,
                                                  benchmark::Counter::kIsRate);
}
BENCHMARK(Prefill512)
    ->ArgNames({"threads", "int8"})
    ->Args({1, 1})
    ->Args({2, 1})
    ->Args({2, 0})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// M rows times one weight of 1536 x 768 on one thread: range(0) = rows of x.
void LinearOf(benchmark::State& state, TensorType type) {
  constexpr int kCols = 768;
  ThreadPool pool(1);
  const Isa isa = SelectIsa().value();
  auto backend = MakeCpuBackend(isa, 1).value();
  const auto weight = RandomLinear(*backend, type, 1536, kCols);
  const auto& w = dynamic_cast<const CpuLinear&>(*weight);
  const size_t rows = static_cast<size_t>(state.range(0));
  const std::vector<int8_t> q(rows * kCols, 3);
  const std::vector<float> scale(rows * kCols / 32, 0.01f);
  const std::vector<int32_t> sum(rows * kCols / 32, 96);
  std::vector<float> out(rows * 1536);
  const LinearRunner runner(isa, ActivationFormat::kInt8);
  const ActivationRows x = {.f32 = nullptr,
                            .int8 = {.q = q.data(),
                                     .scale = scale.data(),
                                     .scaled_sum = scale.data(),
                                     .sum = sum.data(),
                                     .first_sum = sum.data()}};
  for (auto _ : state) {
    runner.Run(
        w, x,
        {.num_rows = static_cast<int>(rows), .num_tiles = 96, .out = out.data(), .stride = 1536},
        nullptr);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["op/s"] = benchmark::Counter(
      2.0 * 1536 * kCols * static_cast<double>(rows * static_cast<size_t>(state.iterations())),
      benchmark::Counter::kIsRate);
}
#define INTACTKV_LINEAR_BENCH(type) \
  BENCHMARK_CAPTURE(LinearOf, type, TensorType::k##type)->Arg(1)->Arg(4)->Arg(8)->Arg(64)->Arg(512)
INTACTKV_LINEAR_BENCH(Q4_0);
INTACTKV_LINEAR_BENCH(Q4_1);
INTACTKV_LINEAR_BENCH(Q8_0);
INTACTKV_LINEAR_BENCH(Q5_0);
INTACTKV_LINEAR_BENCH(Q5_1);
INTACTKV_LINEAR_BENCH(Q2_K);
INTACTKV_LINEAR_BENCH(Q3_K);
INTACTKV_LINEAR_BENCH(Q4_K);
INTACTKV_LINEAR_BENCH(Q5_K);
INTACTKV_LINEAR_BENCH(Q6_K);

}  // namespace
}  // namespace intactkv

BENCHMARK_MAIN();
