#include "tests/golden/model/recording_backend.h"

#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/cpu_context.h"
#include "kernels/cpu/kv_attention.h"

namespace intactkv::golden {
namespace {

// Hands everything to another attention and keeps its inputs. Thread-compatible.
class RecordingAttention : public KvAttention {
 public:
  RecordingAttention(std::unique_ptr<KvAttention> inner, const ModelShape& shape,
                     Recording* recording)
      : inner_(std::move(inner)),
        q_width_(static_cast<size_t>(shape.num_q_heads * shape.head_dim)),
        kv_width_(static_cast<size_t>(shape.num_kv_heads * shape.head_dim)),
        recording_(recording) {}

  absl::Status Begin(const Batch& batch) override {
    num_rows_ = static_cast<size_t>(batch.num_rows());
    return inner_->Begin(batch);
  }
  void Append(int layer, const float* k, const float* v) override {
    if (const auto it = recording_->find(layer); it != recording_->end()) {
      Keep(k, kv_width_, it->second.k);
      Keep(v, kv_width_, it->second.v);
    }
    inner_->Append(layer, k, v);
  }
  void Attend(int layer, const float* q, float* out) override {
    if (const auto it = recording_->find(layer); it != recording_->end()) {
      Keep(q, q_width_, it->second.q);
    }
    inner_->Attend(layer, q, out);
  }
  std::span<const SequenceHealth> health() const override { return inner_->health(); }
  size_t scratch_bytes() const override { return inner_->scratch_bytes(); }

 private:
  void Keep(const float* rows, size_t width, std::vector<float>& out) const {
    out.insert(out.end(), rows, rows + num_rows_ * width);
  }

  const std::unique_ptr<KvAttention> inner_;
  const size_t q_width_, kv_width_;
  Recording* const recording_;
  size_t num_rows_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RecordingBackend>> RecordingBackend::Create(Isa isa, int num_threads,
                                                                           Recording* recording) {
  CHECK(recording != nullptr);
  ASSIGN_OR_RETURN(std::unique_ptr<Backend> inner, MakeCpuBackend(isa, num_threads, false));
  return std::unique_ptr<RecordingBackend>(new RecordingBackend(std::move(inner), isa, recording));
}

absl::StatusOr<std::unique_ptr<ComputeContext>> RecordingBackend::CreateContext(
    const ContextOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<KvAttention> attention,
                   KvAttention::Create(options, isa_, &pool_));
  return MakeCpuContext(
      options, isa_, &pool_,
      std::make_unique<RecordingAttention>(std::move(attention), options.shape, recording_));
}

}  // namespace intactkv::golden
