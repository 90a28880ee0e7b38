#include "kernels/cpu/cpu_context.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "kernels/cpu/check_batch.h"
#include "kernels/cpu/cpu_linear.h"
#include "kernels/cpu/ops_kernels.h"
#include "kernels/cpu/step_buffers.h"

namespace intactkv {
namespace {

constexpr int kRowsForThreads = 8;  // fewer rows are normalized faster than a worker wakes
constexpr int kHeadChunkTiles = 8;  // the head has many tiles: fewer, larger items

const CpuLinear& Cpu(const Linear* linear) {
  const auto* out = dynamic_cast<const CpuLinear*>(linear);
  CHECK(out != nullptr) << "a weight of another backend";
  return *out;
}

int NumItems(int64_t size, int64_t chunk) { return static_cast<int>((size + chunk - 1) / chunk); }

absl::Status CheckShape(const ContextOptions& options) {
  const ModelShape& s = options.shape;
  if (s.hidden <= 0 || s.hidden % kWeightGroup != 0 || s.ffn <= 0 || s.ffn % kWeightGroup != 0) {
    return Unimplemented("hidden size " + std::to_string(s.hidden) + " and ffn size " +
                         std::to_string(s.ffn) + " must be multiples of 32");
  }
  if (s.vocab <= 0) return InvalidArgument("empty vocabulary");
  if (s.rope_inv_freq.size() * 2 != static_cast<size_t>(s.head_dim)) {
    return InvalidArgument("rope frequencies: " + std::to_string(s.rope_inv_freq.size()) +
                           " for head size " + std::to_string(s.head_dim));
  }
  if (options.max_rows < 1 || options.max_sequences < 1 || options.max_context < 1 ||
      options.max_logits_rows < 1) {
    return InvalidArgument("a context needs at least one row, sequence, position and logits row");
  }
  return absl::OkStatus();
}

// Most of it grows with the context and the rows; a crafted or generous context length must not end
// in the kernel's out-of-memory killer.
absl::Status CheckMemory(const ContextOptions& options, int num_threads) {
  ASSIGN_OR_RETURN(const int64_t attention, KvAttention::ScratchBytes(options, num_threads));
  const int64_t bytes = attention + StepBuffers::Bytes(options, num_threads);
  if (options.max_scratch_bytes == 0 || bytes <= options.max_scratch_bytes) return absl::OkStatus();
  return ResourceExhausted("a context of " + std::to_string(options.max_context) +
                           " positions and " + std::to_string(options.max_rows) + " rows needs " +
                           std::to_string(bytes) + " bytes of step buffers; at most " +
                           std::to_string(options.max_scratch_bytes) + " are to be had");
}

class CpuContext final : public ComputeContext {
 public:
  CpuContext(const ContextOptions& options, Isa isa, ThreadPool* pool,
             std::unique_ptr<KvAttention> attention)
      : options_(options),
        shape_(options_.shape),
        ops_(GetOpsKernels(isa)),
        runner_(isa, options.activations),
        pool_(pool),
        attention_(std::move(attention)),
        buffers_(options, pool->num_threads()),
        health_(static_cast<size_t>(options.max_sequences)) {}

  absl::Status Begin(const Batch& batch) override;
  void Embed(const Linear& table) override;
  void QkvAppend(int layer, const AttentionWeights& weights) override;
  void Attention(int layer) override;
  void OutProj(const AttentionWeights& weights) override;
  void Mlp(const MlpWeights& weights) override;
  void Logits(std::span<const float> norm, const Linear& head) override;
  void Sample(std::span<const SampleRow> rows, std::span<SampledToken> out) override;

  std::span<const float> logits() const override {
    return {buffers_.logits.data(), num_logits_rows_ * static_cast<size_t>(shape_.vocab)};
  }
  std::span<const SequenceHealth> health() const override {
    return {health_.data(), num_sequences_};
  }
  size_t scratch_bytes() const override { return buffers_.bytes() + attention_->scratch_bytes(); }

 private:
  // One of the linears that share a phase's input: where its rows go, and what follows.
  struct Projection {
    const CpuLinear* weight;
    float* out;  // [num_rows][weight rows]
    std::span<const float> bias;
    std::span<const float> norm;  // of each head
    bool rope;
  };

  WorkerScratch& scratch(int worker) { return buffers_.workers[static_cast<size_t>(worker)]; }
  template <typename Fn>
  void ForRows(int num_rows, const Fn& fn);
  void NormalizeRow(const float* x, std::span<const float> norm, int row, bool int8);
  void NormalizeResidual(std::span<const float> norm, bool int8);
  void Project(const Projection& p, int64_t head, int worker);
  void GateUpChunk(const MlpWeights& weights, int64_t chunk, int worker);
  void AddToResidual(const CpuLinear& weight, const ActivationRows& x);
  void CheckLogits();

  const ContextOptions options_;
  const ModelShape& shape_;
  const OpsKernels& ops_;
  const LinearRunner runner_;
  ThreadPool* const pool_;
  const std::unique_ptr<KvAttention> attention_;
  StepBuffers buffers_;
  std::vector<SequenceHealth> health_;
  const Batch* batch_ = nullptr;
  int num_rows_ = 0;
  // The batch may be gone when health() and logits() are read; only Begin..Logits may follow
  // batch_.
  size_t num_sequences_ = 0;
  size_t num_logits_rows_ = 0;
};

absl::Status CpuContext::Begin(const Batch& batch) {
  batch_ = nullptr;
  num_sequences_ = 0;
  num_logits_rows_ = 0;
  RETURN_IF_ERROR(CheckBatch(batch, options_));
  RETURN_IF_ERROR(attention_->Begin(batch));
  batch_ = &batch;
  num_rows_ = batch.num_rows();
  num_sequences_ = batch.sequences.size();
  num_logits_rows_ = batch.logits_rows.size();
  std::fill(health_.begin(), health_.end(), SequenceHealth{});
  return absl::OkStatus();
}

// fn(row, worker) for each row; on one thread when there are few.
template <typename Fn>
void CpuContext::ForRows(int num_rows, const Fn& fn) {
  const int block = num_rows < kRowsForThreads ? num_rows : kRowsForThreads;
  pool_->Run(NumItems(num_rows, block), [&](int item, int worker) {
    const int end = std::min(num_rows, (item + 1) * block);
    for (int row = item * block; row < end; ++row) fn(row, worker);
  });
}

void CpuContext::Embed(const Linear& table) {
  CHECK(table.cols() == shape_.hidden && table.rows() == shape_.vocab);
  ForRows(num_rows_, [&](int row, int) {
    table.DequantizeRow(batch_->tokens[static_cast<size_t>(row)],
                        buffers_.residual.data() + int64_t{row} * shape_.hidden);
  });
}

// Row `row` of `normed`, and of int8_input if asked.
void CpuContext::NormalizeRow(const float* x, std::span<const float> norm, int row, bool int8) {
  float* out = buffers_.normed.data() + int64_t{row} * shape_.hidden;
  ops_.rms_norm(
      {.x = x, .weight = norm.data(), .cols = shape_.hidden, .eps = shape_.rms_eps, .out = out});
  if (!int8) return;
  QuantizeArgs args = buffers_.int8_input.Place(row, shape_.hidden, 0, shape_.hidden);
  args.x = out;
  ops_.quantize_int8(args);
}

void CpuContext::NormalizeResidual(std::span<const float> norm, bool int8) {
  CHECK_EQ(norm.size(), static_cast<size_t>(shape_.hidden));
  ForRows(num_rows_, [&](int row, int) {
    NormalizeRow(buffers_.residual.data() + int64_t{row} * shape_.hidden, norm, row, int8);
  });
}

void CpuContext::QkvAppend(int layer, const AttentionWeights& weights) {
  const Projection projections[3] = {
      {&Cpu(weights.q), buffers_.q.data(), weights.q_bias, weights.q_norm, true},
      {&Cpu(weights.k), buffers_.k.data(), weights.k_bias, weights.k_norm, true},
      {&Cpu(weights.v), buffers_.v.data(), weights.v_bias, {}, false}};
  const int heads[3] = {shape_.num_q_heads, shape_.num_kv_heads, shape_.num_kv_heads};
  bool int8 = false;
  for (int i = 0; i < 3; ++i) {
    const CpuLinear& w = *projections[i].weight;
    CHECK(w.cols() == shape_.hidden && w.rows() == int64_t{heads[i]} * shape_.head_dim);
    const size_t norm = projections[i].norm.size();
    CHECK(norm == 0 || norm == static_cast<size_t>(shape_.head_dim));
    int8 = int8 || runner_.UsesInt8(w);
  }
  NormalizeResidual(weights.norm, int8);
  pool_->Run(heads[0] + heads[1] + heads[2], [&](int item, int worker) {
    int which = 0;
    while (item >= heads[which]) item -= heads[which++];
    Project(projections[which], item, worker);
  });
  attention_->Append(layer, buffers_.k.data(), buffers_.v.data());
}

// One head of all rows: linear, bias, norm, RoPE.
void CpuContext::Project(const Projection& p, int64_t head, int worker) {
  const int dim = shape_.head_dim;
  const int64_t stride = p.weight->rows();
  float* out = p.out + head * dim;
  const ActivationRows x = {.f32 = buffers_.normed.data(), .int8 = buffers_.int8_input.View()};
  runner_.Run(*p.weight, x,
              {.num_rows = num_rows_,
               .tile = head * dim / kTileRows,
               .num_tiles = dim / kTileRows,
               .out = out,
               .stride = stride},
              scratch(worker).tile.data());
  for (int row = 0; row < num_rows_; ++row, out += stride) {
    if (!p.bias.empty()) ops_.add(p.bias.data() + head * dim, dim, out);
    if (!p.norm.empty()) {
      ops_.rms_norm(
          {.x = out, .weight = p.norm.data(), .cols = dim, .eps = shape_.rms_eps, .out = out});
    }
    if (!p.rope) continue;
    const int64_t position = batch_->positions[static_cast<size_t>(row)];
    ops_.rope({.x = out,
               .heads = 1,
               .head_dim = dim,
               .cos = buffers_.rope.cos(position),
               .sin = buffers_.rope.sin(position),
               .interleaved = shape_.rope_style == RopeStyle::kInterleaved});
  }
}

void CpuContext::Attention(int layer) {
  attention_->Attend(layer, buffers_.q.data(), buffers_.attended.data());
  const std::span<const SequenceHealth> health = attention_->health();
  std::copy(health.begin(), health.end(), health_.begin());
}

void CpuContext::OutProj(const AttentionWeights& weights) {
  const CpuLinear& o = Cpu(weights.o);
  const int64_t width = int64_t{shape_.num_q_heads} * shape_.head_dim;
  CHECK_EQ(o.cols(), width);
  if (runner_.UsesInt8(o)) {
    ForRows(num_rows_, [&](int row, int) {
      QuantizeArgs args = buffers_.int8_input.Place(row, width, 0, width);
      args.x = buffers_.attended.data() + row * width;
      ops_.quantize_int8(args);
    });
  }
  AddToResidual(o, {.f32 = buffers_.attended.data(), .int8 = buffers_.int8_input.View()});
}

// residual += x W^T, by chunks of outputs.
void CpuContext::AddToResidual(const CpuLinear& weight, const ActivationRows& x) {
  CHECK_EQ(weight.rows(), int64_t{shape_.hidden});
  pool_->Run(NumItems(weight.rows(), kChunkOutputs), [&](int item, int worker) {
    WorkerScratch& own = scratch(worker);
    for (int begin = 0; begin < num_rows_; begin += kRowBlock) {
      const int rows = std::min(kRowBlock, num_rows_ - begin);
      runner_.Run(weight, x,
                  {.row = begin,
                   .num_rows = rows,
                   .tile = int64_t{item} * kChunkTiles,
                   .num_tiles = kChunkTiles,
                   .out = own.first.data(),
                   .stride = kChunkOutputs},
                  own.tile.data());
      float* out =
          buffers_.residual.data() + int64_t{begin} * shape_.hidden + int64_t{item} * kChunkOutputs;
      for (int row = 0; row < rows; ++row, out += shape_.hidden) {
        ops_.add(own.first.data() + row * kChunkOutputs, kChunkOutputs, out);
      }
    }
  });
}

void CpuContext::Mlp(const MlpWeights& weights) {
  const CpuLinear& gate = Cpu(weights.gate);
  const CpuLinear& up = Cpu(weights.up);
  const CpuLinear& down = Cpu(weights.down);
  CHECK(gate.rows() == shape_.ffn && up.rows() == shape_.ffn && down.cols() == shape_.ffn);
  CHECK(gate.cols() == shape_.hidden && up.cols() == shape_.hidden);
  NormalizeResidual(weights.norm, runner_.UsesInt8(gate) || runner_.UsesInt8(up));
  pool_->Run(NumItems(shape_.ffn, kChunkOutputs),
             [&](int item, int worker) { GateUpChunk(weights, item, worker); });
  AddToResidual(down, {.f32 = buffers_.gated.data(), .int8 = buffers_.int8_gated.View()});
}

// 32 columns of silu(gate) * up: one group of the next linear's input, so it is quantized here.
void CpuContext::GateUpChunk(const MlpWeights& weights, int64_t chunk, int worker) {
  WorkerScratch& own = scratch(worker);
  const bool int8 = runner_.UsesInt8(Cpu(weights.down));
  const ActivationRows x = {.f32 = buffers_.normed.data(), .int8 = buffers_.int8_input.View()};
  for (int begin = 0; begin < num_rows_; begin += kRowBlock) {
    const int rows = std::min(kRowBlock, num_rows_ - begin);
    LinearPart part = {.row = begin,
                       .num_rows = rows,
                       .tile = chunk * kChunkTiles,
                       .num_tiles = kChunkTiles,
                       .out = own.first.data(),
                       .stride = kChunkOutputs};
    runner_.Run(Cpu(weights.gate), x, part, own.tile.data());
    part.out = own.second.data();
    runner_.Run(Cpu(weights.up), x, part, own.tile.data());
    ops_.silu_mul(own.first.data(), own.second.data(), int64_t{rows} * kChunkOutputs,
                  own.third.data());
    for (int row = 0; row < rows; ++row) {
      const float* gated = own.third.data() + row * kChunkOutputs;
      const int64_t col = chunk * kChunkOutputs;
      if (int8) {
        QuantizeArgs args = buffers_.int8_gated.Place(begin + row, shape_.ffn, col, kChunkOutputs);
        args.x = gated;
        ops_.quantize_int8(args);
      } else {
        std::copy_n(gated, kChunkOutputs,
                    buffers_.gated.data() + int64_t{begin + row} * shape_.ffn + col);
      }
    }
  }
}

void CpuContext::Logits(std::span<const float> norm, const Linear& head) {
  const CpuLinear& w = Cpu(&head);
  CHECK(w.cols() == shape_.hidden && w.rows() == shape_.vocab);
  CHECK_EQ(norm.size(), static_cast<size_t>(shape_.hidden));
  const int rows = static_cast<int>(num_logits_rows_);
  if (rows == 0) return;
  ForRows(rows, [&](int i, int) {
    const int64_t row = batch_->logits_rows[static_cast<size_t>(i)];
    NormalizeRow(buffers_.residual.data() + row * shape_.hidden, norm, i, runner_.UsesInt8(w));
  });
  const ActivationRows x = {.f32 = buffers_.normed.data(), .int8 = buffers_.int8_input.View()};
  pool_->Run(NumItems(w.num_tiles(), kHeadChunkTiles), [&](int item, int worker) {
    const int64_t tile = int64_t{item} * kHeadChunkTiles;
    runner_.Run(
        w, x,
        {.num_rows = rows,
         .tile = tile,
         .num_tiles = static_cast<int>(std::min<int64_t>(kHeadChunkTiles, w.num_tiles() - tile)),
         .out = buffers_.logits.data() + tile * kTileRows,
         .stride = shape_.vocab},
        scratch(worker).tile.data());
  });
  CheckLogits();
}

void CpuContext::CheckLogits() {
  size_t sequence = 0;
  for (size_t i = 0; i < num_logits_rows_; ++i) {
    const std::vector<BatchSequence>& all = batch_->sequences;
    const int32_t row = batch_->logits_rows[i];
    while (sequence + 1 < all.size() && row >= all[sequence].first_row + all[sequence].num_rows) {
      ++sequence;
    }
    const float* logits = buffers_.logits.data() + i * static_cast<size_t>(shape_.vocab);
    if (!ops_.all_finite(logits, shape_.vocab)) health_[sequence].non_finite = true;
  }
}

void CpuContext::Sample(std::span<const SampleRow> rows, std::span<SampledToken> out) {
  CHECK(rows.size() == num_logits_rows_ && out.size() == rows.size());
  const size_t vocab = static_cast<size_t>(shape_.vocab);
  pool_->Run(static_cast<int>(rows.size()), [&](int item, int worker) {
    const auto i = static_cast<size_t>(item);
    scratch(worker).sampler.Sample({buffers_.logits.data() + i * vocab, vocab}, rows[i], &out[i]);
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ComputeContext>> MakeCpuContext(const ContextOptions& options,
                                                               Isa isa, ThreadPool* pool) {
  RETURN_IF_ERROR(CheckShape(options));
  RETURN_IF_ERROR(CheckMemory(options, pool->num_threads()));
  ASSIGN_OR_RETURN(std::unique_ptr<KvAttention> attention, KvAttention::Create(options, isa, pool));
  return std::unique_ptr<ComputeContext>(
      std::make_unique<CpuContext>(options, isa, pool, std::move(attention)));
}

absl::StatusOr<std::unique_ptr<ComputeContext>> MakeCpuContext(
    const ContextOptions& options, Isa isa, ThreadPool* pool,
    std::unique_ptr<KvAttention> attention) {
  RETURN_IF_ERROR(CheckShape(options));
  RETURN_IF_ERROR(CheckMemory(options, pool->num_threads()));
  CHECK(attention != nullptr);
  return std::unique_ptr<ComputeContext>(
      std::make_unique<CpuContext>(options, isa, pool, std::move(attention)));
}

}  // namespace intactkv
