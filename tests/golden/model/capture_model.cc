#include "tests/golden/model/capture_model.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"
#include "engine/checkpoint/opened_model.h"
#include "engine/exec/transformer_executor.h"
#include "kernels/api/page_layout.h"

namespace intactkv::golden {
namespace {

StepPlan MakePlan(const CaptureOptions& options) {
  StepPlan plan;
  const int num_tokens = static_cast<int>(options.tokens.size());
  for (int p = 0; p < num_tokens; ++p) {
    const bool asked = p >= options.first_asked && p < options.first_asked + options.num_asked;
    plan.rows.push_back({options.tokens[static_cast<size_t>(p)], p, asked});
    if (asked) plan.samples.emplace_back().params.temperature = 0;
  }
  for (int i = 0; i < BlocksFor(num_tokens); ++i) {
    plan.stored_entries.emplace_back(PageClass::kStored, i);
  }
  plan.sequences.push_back(
      {.num_rows = num_tokens, .num_stored = BlocksFor(num_tokens), .hot_slot = 0});
  for (int block = 0; block < num_tokens / kPageTokens; ++block) {
    plan.promotions.push_back({.sequence = 0, .block = block});
  }
  return plan;
}

}  // namespace

absl::StatusOr<ModelCapture> CaptureModel(const CaptureOptions& options) {
  ModelCapture capture;
  ASSIGN_OR_RETURN(const OpenedModel files, OpenedModel::Open(options.model_path));
  capture.config = files.config();
  const ModelConfig& config = capture.config;
  for (const int layer : {0, config.num_layers / 2, config.num_layers - 1}) {
    capture.layers[layer] = {};
  }
  ASSIGN_OR_RETURN(const Isa isa, SelectIsa());
  ASSIGN_OR_RETURN(const std::unique_ptr<RecordingBackend> backend,
                   RecordingBackend::Create(isa, 2, &capture.layers));
  const int num_tokens = static_cast<int>(options.tokens.size());
  const ClassLayout layout =
      MakeClassLayout({config.num_layers, config.num_kv_heads, config.head_dim}, kKvF32);
  ASSIGN_OR_RETURN(const std::unique_ptr<KvPool> stored,
                   backend->CreateKvPool(layout, BlocksFor(num_tokens)));
  ASSIGN_OR_RETURN(const std::unique_ptr<KvPool> hot, backend->CreateKvPool(layout, 1));
  // A quantized file's own codes: the same numbers as its tensors in full precision.
  ASSIGN_OR_RETURN(std::unique_ptr<LlamaModel> model,
                   LlamaModel::Load(files.weights(), config, *backend, {}));
  const ExecutorOptions executor_options{.activations = ActivationFormat::kF32,
                                         .kv = {nullptr, stored.get(), hot.get()},
                                         .max_rows = num_tokens,
                                         .max_sequences = 1,
                                         .max_context = num_tokens,
                                         .max_logits_rows = std::max(1, options.num_asked)};
  ASSIGN_OR_RETURN(const std::unique_ptr<TransformerExecutor> executor,
                   TransformerExecutor::Create(std::move(model), *backend, executor_options));
  ASSIGN_OR_RETURN(const StepResult result, executor->Execute(MakePlan(options)));
  if (result.sequences[0].non_finite) return Internal("a value that is not finite");
  for (const SampledToken& token : result.tokens) capture.greedy.push_back(token.token);
  return capture;
}

}  // namespace intactkv::golden
