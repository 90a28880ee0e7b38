// The Executor of a real model: StepPlan -> Batch -> forward pass -> StepResult.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/exec/plan_to_batch.h"
#include "engine/model/llama_model.h"
#include "engine/sched/executor.h"
#include "kernels/api/backend.h"

namespace intactkv {

// The shape comes from the model. The pools of `kv` are not owned and must outlive the executor;
// kv.pinned may be null (a prefix build, whose kv.stored is the serving executor's pinned pool).
struct ExecutorOptions {
  ActivationFormat activations = ActivationFormat::kInt8;
  KvView kv;
  int max_rows = 512;
  int max_sequences = 16;
  int max_context = 8192;
  int max_logits_rows = 16;
  int64_t max_scratch_bytes = 0;  // see ContextOptions
};

// The options as the Backend takes them, for Backend::Kernels and for tests.
ContextOptions MakeContextOptions(const ModelShape& shape, const ExecutorOptions& options);

// Owns the model and its context; the Backend must outlive it. Engine thread only.
class TransformerExecutor : public Executor {
 public:
  // Errors: kInvalidArgument if a pool is missing or was made for another shape; those of
  // Backend::CreateContext.
  static absl::StatusOr<std::unique_ptr<TransformerExecutor>> Create(
      std::unique_ptr<LlamaModel> model, Backend& backend, const ExecutorOptions& options);

  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override;
  int64_t weight_bytes() const override { return model_->weight_bytes(); }
  int vocab_size() const override { return model_->config().vocab; }
  // CHECK-fails for an entry outside the pools. Class kPinned without a pinned pool (a prefix
  // build) means the stored pool, as in BuildBatch.
  std::string PageChecksum(const std::vector<PageEntry>& entries) const override;

  const LlamaModel& model() const { return *model_; }
  int64_t scratch_bytes() const { return static_cast<int64_t>(context_->scratch_bytes()); }

 private:
  TransformerExecutor(std::unique_ptr<LlamaModel> model, std::unique_ptr<ComputeContext> context,
                      const ExecutorOptions& options);
  const KvPool& PoolOf(PageClass page_class) const;

  std::unique_ptr<LlamaModel> model_;
  std::unique_ptr<ComputeContext> context_;  // refers to the model's weights only during Execute
  KvView kv_;
  PlanLimits limits_;
};

}  // namespace intactkv
