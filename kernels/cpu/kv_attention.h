// KvAttention: the part of a ComputeContext that touches KV pages: append, promote, attend.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"

namespace intactkv {

// Order of calls in a step: Begin, then per layer Append, Attend. Allocates nothing after Create.
// Thread-compatible.
class KvAttention {
 public:
  virtual ~KvAttention() = default;

  // Errors: kInvalidArgument/kUnimplemented for a head size that is not a multiple of 32 in [32,
  // 256], or a format without kernels.
  static absl::StatusOr<std::unique_ptr<KvAttention>> Create(const ContextOptions& options, Isa isa,
                                                             ThreadPool* pool);
  // What scratch_bytes() will be; takes no memory. Errors as Create.
  static absl::StatusOr<int64_t> ScratchBytes(const ContextOptions& options, int num_threads);
  // What Create would choose: one entry per segment and format ("attention pinned f32",
  // "attention stored i8c", "attention own f32", "page quantize").
  static std::vector<KernelChoice> Kernels(const ContextOptions& options, Isa isa);

  // Checks the batch (kInvalidArgument: entries out of range, rows or pages beyond the options) and
  // plans items. `batch` outlives the step.
  virtual absl::Status Begin(const Batch& batch) = 0;

  // k, v: [num_rows, num_kv_heads * head_dim] fp32, k after RoPE. Writes appending rows into this
  // layer's scratch pages (or the hot slot), runs this layer's promotions, and copies the open page
  // back to its hot slot no later than the end of Attend(layer).
  virtual void Append(int layer, const float* k, const float* v) = 0;

  // q, out: [num_rows, num_q_heads * head_dim] fp32, q after RoPE, not scaled; out =
  // softmax(attention_scale * q.K) V. out aliases nothing.
  virtual void Attend(int layer, const float* q, float* out) = 0;

  virtual std::span<const SequenceHealth> health() const = 0;  // of the batch so far
  virtual size_t scratch_bytes() const = 0;
};

}  // namespace intactkv
