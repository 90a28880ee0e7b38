#include "tests/invariance/tiny_server.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/check.h"
#include "engine/model/gguf.h"
#include "engine/model/llama_model.h"
#include "engine/model/model_config.h"
#include "kernels/api/page_layout.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/invariance/build_once_executor.h"
#include "tests/invariance/page_poison.h"
#include "tests/support/reference_llama.h"
#include "tests/support/tiny_model.h"

namespace intactkv::test {
namespace {

constexpr int32_t kContext = 1'536;
constexpr int kMaxSteps = 20'000;

// One file for all servers of the process; its matrices are F32.
struct ModelFile {
  ModelFile()
      : bytes(TinyModelBytes({.num_layers = kTinyLayers,
                              .hidden = 192,
                              .ffn = 64,
                              .num_q_heads = 6,
                              .num_kv_heads = 2,
                              .head_dim = 64,
                              .vocab = 272,
                              .context_length = kContext})),
        file(GgufFile::Parse(bytes, "tiny.gguf").value()),
        config(ReadModelConfig(file).value()) {}
  const std::vector<std::byte> bytes;
  const GgufFile file;
  const ModelConfig config;
};

const ModelFile& File() {
  static const ModelFile file;
  return file;
}

// Goes through the steps of a prefix build and writes nothing.
class BlankExecutor : public Executor {
 public:
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override {
    CHECK(plan.samples.empty()) << "no prefix build";
    StepResult result;
    result.sequences.resize(plan.sequences.size());
    return result;
  }
  int64_t weight_bytes() const override { return 0; }
  int vocab_size() const override { return 0; }
  std::string PageChecksum(const std::vector<PageEntry>&) const override { return ""; }
};

}  // namespace

// Keeps what the engine tells.
class TinyServer::Sink : public TokenSink {
 public:
  explicit Sink(std::shared_ptr<Transcript> transcript) : transcript_(std::move(transcript)) {}
  void OnTokens(std::vector<TokenEvent> events) override {
    for (const TokenEvent& event : events) {
      if (event.of_prompt) {
        transcript_->scored.push_back(event.token);
      } else {
        transcript_->generated.push_back(event.token.token);
      }
    }
  }
  void OnFinish(const FinishInfo& info) override {
    transcript_->info = info;
    transcript_->finished = true;
  }

 private:
  std::shared_ptr<Transcript> transcript_;
};

TinyServer::TinyServer(const ServerSpec& spec)
    : spec_(spec),
      build_chunk_(spec.build_chunk > 0 ? spec.build_chunk : kContext),
      backend_(MakeCpuBackend(spec.isa, spec.num_threads).value()) {
  const ModelConfig& config = File().config;
  shape_ = MakeModelShape(config);
  const PageLayout layout = MakePageLayout(
      {config.num_layers, config.num_kv_heads, config.head_dim}, kKvF32, spec.stored.layers);
  const auto make = [&](PageClass c, int32_t pages) {
    return backend_->CreateKvPool(layout.For(c), pages).value();
  };
  pinned_ = make(PageClass::kPinned, spec.num_pinned_blocks);
  stored_ = make(PageClass::kStored, spec.num_stored_blocks);
  hot_ = make(PageClass::kHot, spec.max_running);
  build_hot_ = make(PageClass::kHot, 1);
  if (spec.recompute_prefix) {
    for (int32_t slot = 0; slot < pinned_->num_pages(); ++slot) PoisonPage(*pinned_, slot);
  }

  EngineCoreOptions options;
  options.model_identity = "tiny";
  options.max_running = spec.max_running;
  options.max_tokens_per_step = spec.chunk;
  options.max_scored_rows = spec.max_scored_rows;
  options.max_model_len = kContext;
  options.num_pinned_blocks = spec.num_pinned_blocks;
  options.num_stored_blocks = spec.num_stored_blocks;
  options.prefix_cache = spec.prefix_cache;
  options.prefix_chunk_tokens = build_chunk_;
  options.log_requests = false;
  options.recompute_prefix_for_test = spec.recompute_prefix;
  EngineCoreParts parts;
  auto executor = MakeExecutor(spec.weights, ServingOptions());
  serving_ = executor.get();
  parts.executor = std::make_unique<RecordingExecutor>(std::move(executor), spec.all_rows, log_);
  parts.full_precision = [this] { return MakePrefixExecutor(); };
  parts.clock = &clock_;
  parts.rng = Rng(7);
  engine_ = std::make_unique<EngineCore>(options, std::move(parts));
}

TinyServer::~TinyServer() {
  handles_.clear();
  engine_->Stop();
}

std::unique_ptr<TransformerExecutor> TinyServer::MakeExecutor(WeightFormat weights,
                                                              const ExecutorOptions& options) {
  LoadOptions load;
  load.format = weights;
  return TransformerExecutor::Create(
             LlamaModel::Load(File().file, File().config, *backend_, load).value(), *backend_,
             options)
      .value();
}

ExecutorOptions TinyServer::ServingOptions() const {
  return {
      .activations = spec_.activations,
      .kv = {pinned_.get(), stored_.get(), hot_.get()},
      .max_rows = spec_.chunk,
      .max_sequences = spec_.max_running,
      .max_context = kContext,
      .max_logits_rows = spec_.all_rows ? spec_.chunk : spec_.max_running + spec_.max_scored_rows};
}

std::unique_ptr<Executor> TinyServer::MakePrefixExecutor() {
  const auto compute = [this]() -> std::unique_ptr<Executor> {
    return MakeExecutor(WeightFormat::kF32, {.activations = ActivationFormat::kF32,
                                             .kv = {nullptr, pinned_.get(), build_hot_.get()},
                                             .max_rows = build_chunk_,
                                             .max_sequences = 1,
                                             .max_context = kContext,
                                             .max_logits_rows = 1});
  };
  const bool is_ready = !answers_.empty();
  if (spec_.recompute_prefix && !is_ready) return std::make_unique<BlankExecutor>();
  if (spec_.recompute_prefix || spec_.build_chunk > 0) return compute();
  return std::make_unique<BuildOnceExecutor>(spec_.isa, *pinned_, compute);
}

PrefixInfo TinyServer::Pin(const std::vector<TokenId>& tokens) {
  return engine_->Pin({.name = "p", .tokens = tokens, .owner = ""}).value();
}

namespace {

GenerationRequest Greedy(const std::vector<TokenId>& prompt, int32_t max_new_tokens) {
  GenerationRequest request;
  request.prompt = prompt;
  request.max_new_tokens = max_new_tokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  return request;
}

}  // namespace

size_t TinyServer::Submit(const std::vector<TokenId>& prompt, int32_t max_new_tokens) {
  return Submit(Greedy(prompt, max_new_tokens));
}

size_t TinyServer::SubmitScored(const std::vector<TokenId>& prompt, int32_t max_new_tokens) {
  GenerationRequest request = Greedy(prompt, max_new_tokens);
  request.score_prompt = true;
  request.sampling.num_logprobs = 2;
  return Submit(std::move(request));
}

std::vector<double> TinyServer::Reference(const std::vector<TokenId>& tokens) {
  std::vector<int32_t> ids;
  for (const TokenId token : tokens) ids.push_back(token.value);
  return ReferenceLogits(File().file, File().config, ids);
}

size_t TinyServer::Submit(GenerationRequest request) {
  if (answers_.empty()) engine_->MarkReady();
  answers_.push_back(std::make_shared<Transcript>());
  answers_.back()->prompt = request.prompt;
  handles_.push_back(
      engine_->Submit(std::move(request), std::make_unique<Sink>(answers_.back())).value());
  return answers_.size() - 1;
}

bool TinyServer::Step() {
  const bool more = engine_->Step();
  const AuditReport report = engine_->AuditNow();
  for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
  for (const int32_t n : report.unaccounted) EXPECT_EQ(n, 0);
  const PageCounts& stored = report.pages[static_cast<size_t>(PageClass::kStored)];
  stored_use_.max_used = std::max(stored_use_.max_used, stored.total - stored.free);
  stored_use_.max_owned = std::max(stored_use_.max_owned, stored.owned);
  return more;
}

void TinyServer::RunUntilIdle() {
  for (int i = 0; Step(); ++i) CHECK_LT(i, kMaxSteps) << "the engine does not come to rest";
}

Transcript TinyServer::Run(const std::vector<TokenId>& prompt, int32_t max_new_tokens) {
  const size_t request = Submit(prompt, max_new_tokens);
  RunUntilIdle();
  return Answer(request);
}

Transcript TinyServer::Answer(size_t request) const {
  Transcript answer = *answers_.at(request);
  CHECK(answer.finished) << "request " << request << " still runs";
  // One choice per request and none refused: sequences are numbered as requests are.
  const auto it = log_.sequences.find(SequenceId(request));
  if (it != log_.sequences.end()) answer.rows = it->second.rows;
  return answer;
}

bool TinyServer::IsRunning(const SequenceLog& sequence, size_t request) const {
  return sequence.last_step == log_.num_steps - 1 && !answers_.at(request)->finished;
}

void TinyServer::PoisonUnreadable() {
  CHECK(!spec_.prefix_cache);
  std::set<int32_t> full_stored, used_hot;
  int32_t num_running = 0;
  for (const auto& [id, sequence] : log_.sequences) {
    if (!IsRunning(sequence, id.value)) continue;
    ++num_running;
    const int32_t num_private = sequence.num_tokens - sequence.num_pinned;
    for (int32_t page = 0; page < num_private / kPageTokens; ++page) {
      full_stored.insert(sequence.stored[static_cast<size_t>(page)].slot());
    }
    used_hot.insert(sequence.hot_slot);
    PoisonTail(*hot_, sequence.hot_slot, num_private % kPageTokens);
  }
  CHECK_EQ(num_running, engine_->Stats().running);
  for (int32_t slot = 0; slot < stored_->num_pages(); ++slot) {
    if (!full_stored.contains(slot)) PoisonPage(*stored_, slot);
  }
  for (int32_t slot = 0; slot < hot_->num_pages(); ++slot) {
    if (!used_hot.contains(slot)) PoisonPage(*hot_, slot);
  }
}

std::vector<KernelChoice> TinyServer::Kernels() const {
  return backend_->Kernels(MakeContextOptions(shape_, ServingOptions()));
}

std::string TinyServer::Checksum(const std::vector<PageEntry>& entries) const {
  return serving_->PageChecksum(entries);
}

}  // namespace intactkv::test
