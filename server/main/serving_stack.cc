#include "server/main/serving_stack.h"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"
#include "engine/exec/transformer_executor.h"
#include "engine/model/inspect.h"
#include "engine/text/text_codec.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/isa.h"
#include "server/main/machine.h"
#include "server/main/model_text.h"

namespace intactkv {
namespace {

WeightFormat ToWeightFormat(WeightsMode mode) {
  switch (mode) {
    case WeightsMode::kStored:
      return WeightFormat::kStored;
    case WeightsMode::kF32:
      return WeightFormat::kF32;
    case WeightsMode::kBf16:
      return WeightFormat::kBF16;
    case WeightsMode::kInt8:
      return WeightFormat::kInt8;
    case WeightsMode::kInt4:
      return WeightFormat::kInt4;
  }
  return WeightFormat::kStored;
}

KvFormat ToKvFormat(PinDtype dtype) {
  switch (dtype) {
    case PinDtype::kF32:
      return kKvF32;
    case PinDtype::kF16:
      return kKvF16;
    case PinDtype::kBf16:
      return kKvBF16;
  }
  return kKvF32;
}

ActivationFormat ToActivationFormat(ActivationsMode mode) {
  return mode == ActivationsMode::kF32 ? ActivationFormat::kF32 : ActivationFormat::kInt8;
}

// "loading weights  42 %", at most one line per tenth.
std::function<void(const LoadProgress&)> ProgressLines(const StackHooks& hooks, std::string what) {
  return [print = hooks.print, what = std::move(what),
          last = -1](const LoadProgress& progress) mutable {
    if (progress.bytes_total <= 0) return;
    const int tenth = static_cast<int>(progress.bytes_done * 10 / progress.bytes_total);
    if (tenth == last) return;
    last = tenth;
    print("loading " + what + "  " + std::to_string(tenth * 10) + " %");
  };
}

// What a step needs grows with the context above all.
absl::Status NameTheFlag(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kResourceExhausted) return status;
  return ResourceExhausted("--max-model-len: " + std::string(ToStd(status.message())));
}

absl::StatusOr<std::unique_ptr<TextCodec>> MakeCodec(const OpenedModel& model) {
  ASSIGN_OR_RETURN(TokenizerData text, ReadModelText(model));
  return MakeTextCodec(std::move(text), {.now_unix_seconds = absl::ToUnixSeconds(absl::Now())});
}

// Those who check the text know its keys, but not which file they came from.
absl::Status NameFile(const std::string& path, const absl::Status& status) {
  const std::string_view message = ToStd(status.message());
  if (message.starts_with(path)) return status;
  return {status.code(), ToAbsl(path + ": " + std::string(message))};
}

// What is wrong with a tensor's numbers is seen only here, by who rounds them and knows no file.
absl::StatusOr<std::unique_ptr<LlamaModel>> LoadWeights(const OpenedModel& files,
                                                        const ModelConfig& model, Backend& backend,
                                                        const LoadOptions& options) {
  auto loaded = LlamaModel::Load(files.weights(), model, backend, options);
  if (loaded.status().code() != absl::StatusCode::kInvalidArgument) return loaded;
  return NameFile(files.weights().path(), loaded.status());
}

PagePlan PlanOf(const KvPool* pool) {
  if (pool == nullptr) return {};
  return {pool->num_pages(), static_cast<int64_t>(pool->layout().page_bytes)};
}

}  // namespace

// Makes the executors that build prefixes. Engine thread only.
class ServingStack::FullPrecision {
 public:
  FullPrecision(ServingStack& stack, const ServerConfig& config, StackHooks hooks)
      : stack_(stack), max_rows_(config.max_tokens_per_step), hooks_(std::move(hooks)) {}

  // An executor whose stored class is the serving pinned pool.
  absl::StatusOr<std::unique_ptr<Executor>> Make() {
    LoadOptions load{.format = WeightFormat::kF32,
                     .progress = ProgressLines(hooks_, "full-precision weights")};
    ASSIGN_OR_RETURN(std::unique_ptr<LlamaModel> model,
                     LoadWeights(*stack_.files_, stack_.model_, *stack_.backend_, load));
    if (hot_ == nullptr) {
      const ClassLayout& layout = stack_.hot_->layout();
      ASSIGN_OR_RETURN(hot_, stack_.backend_->CreateKvPool(layout, 1));
    }
    ExecutorOptions options{.activations = ActivationFormat::kF32,
                            .kv = {nullptr, stack_.pinned_.get(), hot_.get()},
                            .max_rows = max_rows_,
                            .max_sequences = 1,
                            .max_context = stack_.max_model_len_,
                            .max_logits_rows = 1,
                            .max_scratch_bytes = AvailableMemoryBytes()};
    ASSIGN_OR_RETURN(std::unique_ptr<TransformerExecutor> executor,
                     TransformerExecutor::Create(std::move(model), *stack_.backend_, options));
    return std::unique_ptr<Executor>(std::move(executor));
  }

  // Between two builds nothing of it is needed.
  void Release() { hot_.reset(); }

 private:
  ServingStack& stack_;
  const int max_rows_;
  const StackHooks hooks_;
  std::unique_ptr<KvPool> hot_;
};

ServingStack::~ServingStack() {
  if (engine_ != nullptr) engine_->Stop();
  engine_.reset();
  full_precision_.reset();
}

absl::StatusOr<std::unique_ptr<ServingStack>> ServingStack::Build(const ServerConfig& config,
                                                                  const StackHooks& hooks) {
  std::unique_ptr<ServingStack> stack(new ServingStack());
  RETURN_IF_ERROR(stack->OpenFiles(config, hooks));
  RETURN_IF_ERROR(stack->ChooseSizes(config));
  ASSIGN_OR_RETURN(const std::vector<PinRequest> pins, stack->RenderPins(config));
  RETURN_IF_ERROR(stack->ReservePools(config, pins));
  RETURN_IF_ERROR(stack->MakeEngine(config, hooks));
  stack->PrintDecisions(config, hooks);
  RETURN_IF_ERROR(stack->BuildPins(pins, hooks));
  if (!config.runtime_pins) stack->files_.reset();
  malloc_trim(0);  // what loading took and gave back is not part of the plan
  return stack;
}

absl::Status ServingStack::OpenFiles(const ServerConfig& config, const StackHooks& hooks) {
  ASSIGN_OR_RETURN(OpenedModel files, OpenedModel::Open(config.model_path));
  files_ = std::make_unique<OpenedModel>(std::move(files));
  model_ = files_->config();
  absl::StatusOr<std::unique_ptr<TextCodec>> codec = MakeCodec(*files_);
  if (!codec.ok()) return NameFile(config.model_path, codec.status());
  codec_ = *std::move(codec);
  if (codec_->vocab_size() > model_.vocab) {
    return InvalidArgument(config.model_path + ": the tokenizer has " +
                           std::to_string(codec_->vocab_size()) + " tokens, the embedding only " +
                           std::to_string(model_.vocab) + " rows");
  }
  ASSIGN_OR_RETURN(const Isa isa, SelectIsa());
  const int quota = NumQuotaCores();
  int threads = config.threads > 0 ? config.threads : NumAllowedCores();
  if (config.threads == 0 && quota > 0) threads = std::min(threads, quota);
  // Under a quota no core is ours: a pinned worker would wait for its core while others are idle.
  ASSIGN_OR_RETURN(backend_, MakeCpuBackend(isa, threads, /*pin_threads=*/quota == 0));
  process_bytes_ = ResidentBytes();
  hooks.print("model " + config.model_path + "  " + model_.architecture + ", " +
              std::to_string(model_.num_layers) + " layers, hidden " +
              std::to_string(model_.hidden) + ", " + std::to_string(model_.num_q_heads) +
              " query and " + std::to_string(model_.num_kv_heads) + " KV heads of " +
              std::to_string(model_.head_dim) + ", vocabulary " + std::to_string(model_.vocab));
  return absl::OkStatus();
}

absl::Status ServingStack::ChooseSizes(const ServerConfig& config) {
  ASSIGN_OR_RETURN(stored_formats_,
                   ChooseStoredFormats(config, model_.architecture, model_.num_layers));
  layout_ = MakePageLayout({model_.num_layers, model_.num_kv_heads, model_.head_dim},
                           ToKvFormat(config.pin_dtype), stored_formats_.layers);
  const ClassLayout& stored = layout_.For(PageClass::kStored);
  ASSIGN_OR_RETURN(pool_, ChoosePool({.trained_context = model_.context_length,
                                      .max_model_len = config.max_model_len,
                                      .pool_bytes = config.kv_pool_bytes,
                                      .max_running = config.max_running,
                                      .page_bytes = static_cast<int64_t>(stored.page_bytes),
                                      .available_bytes = AvailableMemoryBytes()}));
  max_model_len_ = pool_.max_model_len;
  return CheckContext(files_->weights(), model_, max_model_len_);
}

absl::StatusOr<std::vector<PinRequest>> ServingStack::RenderPins(const ServerConfig& config) const {
  std::vector<PinRequest> pins;
  if (!config.pin) return pins;
  if (config.system_prompts.empty()) {
    absl::StatusOr<std::vector<TokenId>> tokens = codec_->SystemPrefix(nullptr);
    // A model without a chat template (a base model) has no default prefix: nothing to pin is no
    // error.
    if (tokens.ok() && !tokens->empty()) pins.push_back({"default", *std::move(tokens), ""});
    return pins;
  }
  for (size_t i = 0; i < config.system_prompts.size(); ++i) {
    ASSIGN_OR_RETURN(std::vector<TokenId> tokens, codec_->SystemPrefix(&config.system_prompts[i]));
    const std::string name = "system-prompt-" + std::to_string(i + 1);
    if (static_cast<int64_t>(tokens.size()) >= max_model_len_) {
      return InvalidArgument(name + " has " + std::to_string(tokens.size()) +
                             " tokens, the context only " + std::to_string(max_model_len_));
    }
    pins.push_back({name, std::move(tokens), ""});
  }
  return pins;
}

absl::Status ServingStack::ReservePools(const ServerConfig& config,
                                        const std::vector<PinRequest>& pins) {
  const auto page_bytes = [&](PageClass c) {
    return static_cast<int64_t>(layout_.For(c).page_bytes);
  };

  int64_t pinned_pages = 0;
  for (const PinRequest& pin : pins)
    pinned_pages += BlocksFor(static_cast<int64_t>(pin.tokens.size()));
  if (config.pin_budget_bytes > 0) {
    const int64_t budget = config.pin_budget_bytes / page_bytes(PageClass::kPinned);
    if (budget < pinned_pages) {
      return InvalidArgument("--pin-budget-bytes: the system prompts need " +
                             std::to_string(pinned_pages * page_bytes(PageClass::kPinned)) +
                             " bytes");
    }
    pinned_pages = budget;
  }
  if (pinned_pages > 0) {
    ASSIGN_OR_RETURN(pinned_, backend_->CreateKvPool(layout_.For(PageClass::kPinned),
                                                     static_cast<int>(pinned_pages)));
  }
  ASSIGN_OR_RETURN(stored_, backend_->CreateKvPool(layout_.For(PageClass::kStored),
                                                   static_cast<int>(pool_.num_pages)));
  ASSIGN_OR_RETURN(hot_, backend_->CreateKvPool(layout_.For(PageClass::kHot), config.max_running));
  return absl::OkStatus();
}

absl::Status ServingStack::MakeEngine(const ServerConfig& config, const StackHooks& hooks) {
  EngineCoreOptions core;
  core.max_scored_rows = std::min(core.max_scored_rows, config.max_tokens_per_step);
  LoadOptions load{.format = ToWeightFormat(config.weights),
                   .progress = ProgressLines(hooks, "weights")};
  ASSIGN_OR_RETURN(std::unique_ptr<LlamaModel> model,
                   LoadWeights(*files_, model_, *backend_, load));
  weight_formats_ = model->DescribeFormats();
  weight_rounding_ = model->DescribeRounding();
  const ExecutorOptions options{.activations = ToActivationFormat(config.activations),
                                .kv = {pinned_.get(), stored_.get(), hot_.get()},
                                .max_rows = config.max_tokens_per_step,
                                .max_sequences = config.max_running,
                                .max_context = max_model_len_,
                                .max_logits_rows = config.max_running + core.max_scored_rows,
                                .max_scratch_bytes = AvailableMemoryBytes()};
  kernels_ = backend_->Kernels(MakeContextOptions(model->shape(), options));
  absl::StatusOr<std::unique_ptr<TransformerExecutor>> created =
      TransformerExecutor::Create(std::move(model), *backend_, options);
  if (!created.ok()) return NameTheFlag(created.status());
  std::unique_ptr<TransformerExecutor> executor = *std::move(created);
  plan_.weights_bytes = executor->weight_bytes();
  plan_.pinned = PlanOf(pinned_.get());
  plan_.stored = PlanOf(stored_.get());
  plan_.hot = PlanOf(hot_.get());
  plan_.scratch_bytes = executor->scratch_bytes();
  plan_.process_bytes = process_bytes_;
  if (config.runtime_pins) {
    for (const WeightTensor& tensor : files_->weights().tensors())
      plan_.runtime_pin_weights_bytes += tensor.num_elements() * int64_t{4};
  }

  core.model_identity = ModelIdentity(files_->weights(), model_);
  core.max_running = config.max_running;
  core.max_tokens_per_step = config.max_tokens_per_step;
  core.max_model_len = max_model_len_;
  core.max_queue = config.max_queue;
  core.num_pinned_blocks = pinned_ == nullptr ? 0 : pinned_->num_pages();
  core.num_stored_blocks = stored_->num_pages();
  core.block_bytes = {plan_.pinned.page_bytes, plan_.stored.page_bytes, plan_.hot.page_bytes};
  core.prefix_cache = config.prefix_cache;
  core.runtime_pins = config.runtime_pins;
  core.prefix_chunk_tokens = config.max_tokens_per_step;
  EngineCoreParts parts;
  parts.executor = hooks.decorate(std::move(executor));
  parts.clock = &clock_;
  parts.rng = Rng((static_cast<uint64_t>(std::random_device{}()) << 32) | std::random_device{}());
  if (pinned_ != nullptr) {
    full_precision_ = std::make_unique<FullPrecision>(*this, config, hooks);
    parts.full_precision = [source = full_precision_.get()] { return source->Make(); };
  }
  engine_ = std::make_unique<EngineCore>(core, std::move(parts));
  return absl::OkStatus();
}

absl::Status ServingStack::BuildPins(const std::vector<PinRequest>& pins, const StackHooks& hooks) {
  for (const PinRequest& pin : pins) {
    ASSIGN_OR_RETURN(const PrefixInfo info, engine_->Pin(pin));
    hooks.print("prefix " + info.name + "  " + std::to_string(info.num_tokens) + " tokens, " +
                FormatBytes(info.bytes) +
                ", any request shares its longest common start (id match), sha256 " +
                info.checksum.substr(0, 16));
  }
  engine_->MarkReady();
  if (full_precision_ != nullptr) full_precision_->Release();
  return absl::OkStatus();
}

void ServingStack::PrintDecisions(const ServerConfig& config, const StackHooks& hooks) const {
  hooks.print("weights " + std::string(Name(config.weights)) + "  " + weight_formats_);
  if (!weight_rounding_.empty()) {
    hooks.print("weights rounded at load, to nearest in groups of 32: " + weight_rounding_);
  }
  hooks.print("activations " + std::string(Name(config.activations)) + ", pinned KV pages " +
              std::string(Name(config.pin_dtype)));
  hooks.print("stored KV pages " + stored_formats_.name + " (" + stored_formats_.reason + ")");
  for (const std::string& warning : stored_formats_.warnings) hooks.print(warning);
  hooks.print("context  " + std::to_string(max_model_len_) + " tokens (" + pool_.length_reason +
              ")");
  hooks.print("kv pool  " + std::to_string(plan_.stored.num_pages) + " pages of " +
              std::to_string(kPageTokens) + " tokens (" + pool_.pool_reason + ")");
  for (const KernelChoice& choice : kernels_)
    hooks.print("kernel " + choice.operation + "  " + choice.kernel);
  std::string table = FormatMemoryPlan(plan_);
  while (!table.empty() && table.back() == '\n') table.pop_back();
  hooks.print(table);
  hooks.print("memory plan total " + std::to_string(plan_.total_bytes()) + " bytes");
}

}  // namespace intactkv
