#include "engine/exec/transformer_executor.h"

#include <cstddef>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/sha256.h"
#include "kernels/api/page_layout.h"

namespace intactkv {
namespace {

absl::Status CheckPool(const KvPool* pool, const ModelShape& shape, const char* name) {
  if (pool == nullptr) return InvalidArgument(std::string("the ") + name + " pool is missing");
  const KvShape wanted = {shape.num_layers, shape.num_kv_heads, shape.head_dim};
  if (pool->layout().shape == wanted) return absl::OkStatus();
  return InvalidArgument(std::string("the ") + name + " pool was made for another model shape");
}

PlanLimits MakeLimits(const LlamaModel& model, const ExecutorOptions& options) {
  PlanLimits limits;
  limits.vocab = model.config().vocab;
  limits.max_rows = options.max_rows;
  limits.max_sequences = options.max_sequences;
  limits.max_context = options.max_context;
  limits.max_logits_rows = options.max_logits_rows;
  limits.num_pinned_pages = options.kv.pinned == nullptr ? 0 : options.kv.pinned->num_pages();
  limits.num_stored_pages = options.kv.stored->num_pages();
  limits.num_hot_pages = options.kv.hot->num_pages();
  limits.allow_partial_promotion = TakesPartialPages(options.kv.stored->layout());
  return limits;
}

}  // namespace

ContextOptions MakeContextOptions(const ModelShape& shape, const ExecutorOptions& options) {
  ContextOptions out;
  out.shape = shape;
  out.activations = options.activations;
  out.kv = options.kv;
  out.max_rows = options.max_rows;
  out.max_sequences = options.max_sequences;
  out.max_context = options.max_context;
  out.max_logits_rows = options.max_logits_rows;
  out.max_scratch_bytes = options.max_scratch_bytes;
  return out;
}

absl::StatusOr<std::unique_ptr<TransformerExecutor>> TransformerExecutor::Create(
    std::unique_ptr<LlamaModel> model, Backend& backend, const ExecutorOptions& options) {
  CHECK(model != nullptr);
  const ModelShape shape = model->shape();
  if (options.kv.pinned != nullptr) RETURN_IF_ERROR(CheckPool(options.kv.pinned, shape, "pinned"));
  RETURN_IF_ERROR(CheckPool(options.kv.stored, shape, "stored"));
  RETURN_IF_ERROR(CheckPool(options.kv.hot, shape, "hot"));
  ASSIGN_OR_RETURN(std::unique_ptr<ComputeContext> context,
                   backend.CreateContext(MakeContextOptions(shape, options)));
  return std::unique_ptr<TransformerExecutor>(
      new TransformerExecutor(std::move(model), std::move(context), options));
}

TransformerExecutor::TransformerExecutor(std::unique_ptr<LlamaModel> model,
                                         std::unique_ptr<ComputeContext> context,
                                         const ExecutorOptions& options)
    : model_(std::move(model)),
      context_(std::move(context)),
      kv_(options.kv),
      limits_(MakeLimits(*model_, options)) {}

absl::StatusOr<StepResult> TransformerExecutor::Execute(const StepPlan& plan) {
  ASSIGN_OR_RETURN(const Batch batch, BuildBatch(plan, limits_));
  StepResult result;
  result.tokens.resize(plan.samples.size());
  RETURN_IF_ERROR(model_->Forward(*context_, batch, plan.samples, result.tokens));
  const std::span<const SequenceHealth> health = context_->health();
  CHECK_EQ(health.size(), plan.sequences.size());
  for (const SequenceHealth& one : health) {
    result.sequences.push_back({one.non_finite, one.num_clamped});
  }
  if (plan.return_logits) {
    const std::span<const float> logits = context_->logits();
    CHECK_EQ(logits.size(), batch.logits_rows.size() * static_cast<size_t>(vocab_size()));
    result.logits.assign(logits.begin(), logits.end());
  }
  return result;
}

const KvPool& TransformerExecutor::PoolOf(PageClass page_class) const {
  const KvPool* pool = kv_.stored;
  if (page_class == PageClass::kPinned && kv_.pinned != nullptr) pool = kv_.pinned;
  if (page_class == PageClass::kHot) pool = kv_.hot;
  return *pool;
}

std::string TransformerExecutor::PageChecksum(const std::vector<PageEntry>& entries) const {
  Sha256 digest;
  std::vector<std::byte> page;
  for (const PageEntry entry : entries) {
    const KvPool& pool = PoolOf(entry.page_class());
    CHECK_LT(entry.slot(), pool.num_pages());
    page.resize(CanonicalPageBytes(pool.layout()));
    pool.ExportPage(entry.slot(), page);
    digest.Add(std::span<const std::byte>(page));
  }
  return digest.HexDigest();
}

}  // namespace intactkv
