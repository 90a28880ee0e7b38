// Backend: owns every byte that kernels touch (weights, KV pages, scratch) and computes by phase.
//
// Life cycle: make a Backend; load weights and make pools with it; make a ComputeContext per set of
// weights; destroy in reverse order. Loading and pool making are for one thread at a time. A
// ComputeContext is Thread-compatible: one step at a time, from one thread (it spreads the work
// over the backend's own pool). Two contexts of one backend must not compute at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/sampling.h"
#include "kernels/api/batch.h"
#include "kernels/api/page_layout.h"
#include "kernels/api/tensor.h"

namespace intactkv {

// Raised whenever a virtual function or a struct below changes; a plugin with another number is
// refused.
inline constexpr int kBackendAbi = 3;

// Part of a matrix, for tensor parallelism. end = -1: to the last.
struct IndexRange {
  int64_t begin = 0;
  int64_t end = -1;
};

struct LinearSpec {
  HostTensor tensor;  // [rows = outputs, cols = inputs]
  WeightFormat format = WeightFormat::kStored;
  IndexRange rows;  // outputs kept
  IndexRange cols;  // inputs kept; multiples of 32 and of the file type's block
};

// A linear weight as the backend keeps it. Immutable.
class Linear {
 public:
  virtual ~Linear() = default;
  virtual int64_t rows() const = 0;  // outputs
  virtual int64_t cols() const = 0;  // inputs
  virtual size_t bytes() const = 0;
  virtual std::string_view format_name() const = 0;  // "q4_1", "q6_k", "int4", "int8", "f32", ...
  // Writes row `row` dequantized, cols() floats. For Embed and for tests.
  virtual void DequantizeRow(int64_t row, float* out) const = 0;
};

// All KV pages of one class. Slots are [0, num_pages).
class KvPool {
 public:
  virtual ~KvPool() = default;
  virtual const ClassLayout& layout() const = 0;
  virtual int num_pages() const = 0;
  virtual size_t bytes() const = 0;
  // Canonical form of one page, the same for every backend: for each layer, for each KV head: K
  // then V, each as
  //   F32 f32[32][D], F16 and BF16 u16[32][D], I8 and I4: u8 codes [32][D] (one code per byte) then
  //   the fp16 scales, then the minima (K: [D] each, V: [32] each).
  // `canonical` has CanonicalPageBytes(layout()) bytes. A pure permutation: Import(Export(x)) == x,
  // bit for bit.
  virtual void ExportPage(int slot, std::span<std::byte> canonical) const = 0;
  virtual void ImportPage(int slot, std::span<const std::byte> canonical) = 0;
};

// The pools that one executor reads and writes. Not owned. pinned may be null (a prefix build has c
// = 0). A prefix build's `stored` is the serving executor's `pinned`: nothing is copied.
struct KvView {
  KvPool* pinned = nullptr;
  KvPool* stored = nullptr;
  KvPool* hot = nullptr;
};

enum class RopeStyle : uint8_t { kInterleaved, kHalf };  // pairs (2i, 2i+1) | (i, i + D/2)

struct ModelShape {
  int num_layers = 0;
  int hidden = 0;
  int ffn = 0;
  int num_q_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;  // q = num_q_heads * head_dim may differ from hidden
  int vocab = 0;
  float rms_eps = 1e-5f;
  float attention_scale = 0.125f;  // multiplies q.k; usually 1 / sqrt(head_dim)
  RopeStyle rope_style = RopeStyle::kInterleaved;
  std::vector<float> rope_inv_freq;  // head_dim / 2 values; scaling already applied
};

struct ContextOptions {
  ModelShape shape;
  ActivationFormat activations = ActivationFormat::kInt8;
  KvView kv;
  int max_rows = 512;        // rows in one step (max_tokens_per_step)
  int max_sequences = 16;    // max_running
  int max_context = 8192;    // highest position + 1
  int max_logits_rows = 16;  // rows with logits in one step; more are refused by Begin
  // CreateContext refuses (kResourceExhausted, before it takes any memory) what would need more
  // than this. 0: no bound.
  int64_t max_scratch_bytes = 0;
};

// Weights of one layer's attention block. Biases and norms of heads may be empty.
struct AttentionWeights {
  std::span<const float> norm;  // [hidden], fp32
  const Linear* q = nullptr;
  const Linear* k = nullptr;
  const Linear* v = nullptr;
  std::span<const float> q_bias, k_bias, v_bias;
  std::span<const float> q_norm, k_norm;  // [head_dim]: RMSNorm of each head before RoPE (Qwen3)
  const Linear* o = nullptr;
};
struct MlpWeights {
  std::span<const float> norm;  // [hidden]
  const Linear* gate = nullptr;
  const Linear* up = nullptr;
  const Linear* down = nullptr;
};

// What happened to one sequence of the step, beside its tokens.
struct SequenceHealth {
  bool non_finite = false;  // some K, V or logit was NaN or infinite: the request fails, its pages
                            // are never published
  int64_t num_clamped = 0;  // finite values beyond the fp16 range, clamped on promotion
};

// The phases of one step, in call order: Begin, Embed, {QkvAppend, Attention, OutProj, Mlp} per
// layer, Logits, Sample. A Collective may run on the residual after OutProj and Mlp (tensor
// parallelism); none is built in.
class ComputeContext {
 public:
  virtual ~ComputeContext() = default;
  // Checks the batch against the options (kInvalidArgument) and plans attention items. `batch` must
  // outlive the step.
  virtual absl::Status Begin(const Batch& batch) = 0;
  virtual void Embed(const Linear& table) = 0;
  // RMSNorm, Q/K/V, bias, RMSNorm of each q and k head, RoPE; writes K and V of appending rows in
  // full precision; then this step's promotions of this layer.
  virtual void QkvAppend(int layer, const AttentionWeights& weights) = 0;
  virtual void Attention(int layer) = 0;
  virtual void OutProj(const AttentionWeights& weights) = 0;  // residual += o(attention)
  virtual void Mlp(const MlpWeights& weights) = 0;  // residual += down(silu(gate(n)) * up(n)), n =
                                                    // RMSNorm(residual)
  virtual void Logits(std::span<const float> norm, const Linear& head) = 0;
  // One SampleRow per logits row, in order.
  virtual void Sample(std::span<const SampleRow> rows, std::span<SampledToken> out) = 0;
  // [logits rows, vocab] of the last Logits call; valid until the next Begin.
  virtual std::span<const float> logits() const = 0;
  virtual std::span<const SequenceHealth> health()
      const = 0;  // per batch sequence; complete after Logits
  virtual size_t scratch_bytes() const = 0;
};

// What run-time dispatch chose for one operation, e.g. {"attention stored i8c",
// "attn_i8c_d64__avx512vnni"}.
struct KernelChoice {
  std::string operation;
  std::string kernel;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual int abi_version() const = 0;        // kBackendAbi of the build
  virtual std::string_view name() const = 0;  // "cpu avx512", "cpu avx2", "cpu scalar"
  virtual int num_threads() const = 0;
  // Repacks. Errors: kInvalidArgument (shape or range), kUnimplemented (format), both naming the
  // tensor. The file's bytes are not needed afterwards.
  virtual absl::StatusOr<std::unique_ptr<Linear>> LoadLinear(const LinearSpec& spec) = 0;
  // kResourceExhausted if the memory can't be had. Pages are not zeroed, but every byte is touched
  // (resident) when this returns.
  virtual absl::StatusOr<std::unique_ptr<KvPool>> CreateKvPool(const ClassLayout& layout,
                                                               int num_pages) = 0;
  // kInvalidArgument/kUnimplemented if the shape is not supported (head size), by name;
  // kResourceExhausted as max_scratch_bytes says.
  virtual absl::StatusOr<std::unique_ptr<ComputeContext>> CreateContext(
      const ContextOptions& options) = 0;
  // What CreateContext would choose for these options, for the start-up print and the tests.
  virtual std::vector<KernelChoice> Kernels(const ContextOptions& options) const = 0;
};

}  // namespace intactkv
