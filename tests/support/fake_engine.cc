#include "tests/support/fake_engine.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/sched/executor.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {

struct FakeEngine::Running {
  GenerationRequest request;
  std::unique_ptr<TokenSink> sink;
  Script script;
  absl::Status failure;
  int failure_after = 0;
  std::vector<bool> open;
  int index = 0;
  int32_t generated = 0;
  RequestUsage usage;
  // Set by the handle on any thread; read by the engine thread.
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  std::atomic<bool> stopped{false};  // with `cancelled`: a good end
};

namespace {

// Log probability of the prompt's token i: -i - 0.25; of its neighbours 1 less each.
std::vector<TokenEvent> PromptEvents(const GenerationRequest& request) {
  std::vector<TokenEvent> events;
  for (size_t i = 1; request.score_prompt && i < request.prompt.size(); ++i) {
    TokenEvent& event = events.emplace_back();
    event.of_prompt = true;
    event.token.token = request.prompt[i];
    event.token.logprob = -static_cast<float>(i) - 0.25f;
    for (int k = 0; k < request.sampling.num_logprobs; ++k) {
      event.token.top.push_back({TokenId((request.prompt[i].value + k) % kFakeVocabSize),
                                 event.token.logprob - static_cast<float>(k)});
    }
  }
  return events;
}

}  // namespace

FakeEngine::FakeEngine() {
  SetAnswer("Hello, world!");
  thread_ = std::thread([this] { Loop(); });
}

FakeEngine::~FakeEngine() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void FakeEngine::SetScript(Script script) {
  MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeEngine::SetAnswer(std::string_view text) {
  SetScript([tokens = ByteTokens(text)](const GenerationRequest&, int, int index) {
    const auto i = static_cast<size_t>(index);
    return i < tokens.size() ? tokens[i] : kFakeEnd;
  });
}

void FakeEngine::SetSubmitStatus(absl::Status status) {
  MutexLock lock(&mutex_);
  submit_status_ = std::move(status);
}

void FakeEngine::SetStepAge(absl::Duration age) {
  MutexLock lock(&mutex_);
  stats_.last_step_age = age;
}

void FakeEngine::SetFailure(absl::Status status, int num_tokens) {
  MutexLock lock(&mutex_);
  failure_ = std::move(status);
  failure_after_ = num_tokens;
}

void FakeEngine::SetCached(int32_t cached_tokens, int32_t pinned_tokens) {
  MutexLock lock(&mutex_);
  cached_tokens_ = cached_tokens;
  pinned_tokens_ = pinned_tokens;
}

void FakeEngine::AllowSteps(int64_t steps) {
  MutexLock lock(&mutex_);
  steps_left_ = steps;
  changed_.NotifyAll();
}

void FakeEngine::WaitForSubmitted(int64_t count) {
  MutexLock lock(&mutex_);
  while (static_cast<int64_t>(submitted_.size()) < count) changed_.Wait(&mutex_);
}

void FakeEngine::WaitForCancelled(int64_t count) {
  MutexLock lock(&mutex_);
  while (stats_.requests_finished[static_cast<size_t>(FinishReason::kCancelled)] < count) {
    changed_.Wait(&mutex_);
  }
}

void FakeEngine::WaitForIdle() {
  MutexLock lock(&mutex_);
  while (!running_.empty()) changed_.Wait(&mutex_);
}

int64_t FakeEngine::num_running() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(running_.size());
}

int64_t FakeEngine::num_cancelled() const {
  MutexLock lock(&mutex_);
  return stats_.requests_finished[static_cast<size_t>(FinishReason::kCancelled)];
}

int64_t FakeEngine::num_tokens() const {
  MutexLock lock(&mutex_);
  return stats_.generated_tokens;
}

std::vector<GenerationRequest> FakeEngine::submitted() const {
  MutexLock lock(&mutex_);
  return submitted_;
}

absl::Status FakeEngine::CheckAdmission() {
  MutexLock lock(&mutex_);
  if (stats_.draining) return Unavailable("draining");
  return submit_status_;
}

absl::StatusOr<RequestHandle> FakeEngine::Submit(GenerationRequest request,
                                                 std::unique_ptr<TokenSink> sink) {
  MutexLock lock(&mutex_);
  if (stats_.draining) return Unavailable("draining");
  RETURN_IF_ERROR(submit_status_);
  submitted_.push_back(request);
  ++stats_.requests_accepted;
  auto running = std::make_shared<Running>();
  running->usage.prompt_tokens = static_cast<int32_t>(request.prompt.size());
  running->usage.cached_tokens = cached_tokens_;
  running->usage.pinned_tokens = pinned_tokens_;
  running->open.assign(static_cast<size_t>(request.n), true);
  running->request = std::move(request);
  running->sink = std::move(sink);
  running->script = script_;
  running->failure = failure_;
  running->failure_after = failure_after_;
  running_.push_back(running);
  changed_.NotifyAll();
  const auto end = [this, running = std::weak_ptr<Running>(running)](bool stopped) {
    // Under the lock, so that the engine thread, which waits on its condition, sees it.
    MutexLock cancel_lock(&mutex_);
    if (const auto request = running.lock()) {
      request->stopped.store(stopped);
      request->cancelled->store(true);
    }
    changed_.NotifyAll();
  };
  return RequestHandle([end] { end(false); }, [end] { end(true); });
}

bool FakeEngine::HasWork() const {
  if (stop_) return true;
  if (running_.empty()) return false;
  if (steps_left_ != 0) return true;
  return std::any_of(running_.begin(), running_.end(),
                     [](const auto& request) { return request->cancelled->load(); });
}

void FakeEngine::Loop() {
  while (true) {
    std::vector<std::shared_ptr<Running>> batch;
    bool may_generate = false;
    {
      MutexLock lock(&mutex_);
      while (!HasWork()) changed_.Wait(&mutex_);
      if (stop_) {
        for (const auto& request : running_) request->cancelled->store(true);
      }
      batch = running_;
      may_generate = steps_left_ != 0;
      if (steps_left_ > 0) --steps_left_;
      if (stop_ && batch.empty()) return;
    }
    // Sinks are called without the lock, as the contract demands nothing else.
    for (const auto& request : batch) {
      if (!may_generate && !request->cancelled->load()) continue;
      if (!Step(*request)) continue;
      MutexLock lock(&mutex_);
      running_.erase(std::find(running_.begin(), running_.end(), request));
      changed_.NotifyAll();
    }
  }
}

bool FakeEngine::Step(Running& request) {
  if (request.cancelled->load()) {
    Finish(request, request.stopped.load() ? absl::OkStatus() : Cancelled("cancelled"));
    return true;
  }
  if (!request.failure.ok() && request.index >= request.failure_after) {
    Finish(request, request.failure);
    return true;
  }
  std::vector<TokenEvent> events =
      request.index == 0 ? PromptEvents(request.request) : std::vector<TokenEvent>();
  const size_t num_of_prompt = events.size();
  for (int choice = 0; choice < request.request.n; ++choice) {
    if (request.open[static_cast<size_t>(choice)]) events.push_back(MakeToken(request, choice));
  }
  ++request.index;
  {
    MutexLock lock(&mutex_);
    stats_.generated_tokens += static_cast<int64_t>(events.size() - num_of_prompt);
  }
  request.sink->OnTokens(std::move(events));
  const bool ended =
      std::find(request.open.begin(), request.open.end(), true) == request.open.end();
  if (ended) Finish(request, absl::OkStatus());
  return ended;
}

TokenEvent FakeEngine::MakeToken(Running& request, int choice) {
  const GenerationRequest& wanted = request.request;
  TokenEvent event;
  event.choice = choice;
  event.token.token = request.script(wanted, choice, request.index);
  event.token.logprob = -0.5f;
  for (int k = 0; k < wanted.sampling.num_logprobs; ++k) {
    const int32_t id = (event.token.token.value + k) % kFakeVocabSize;
    event.token.top.push_back({TokenId(id), -0.5f - static_cast<float>(k)});
  }
  ++request.generated;
  const auto& stops = wanted.stop_token_ids;
  const bool is_stop = std::find(stops.begin(), stops.end(), event.token.token) != stops.end();
  if (is_stop && !wanted.ignore_eos && request.index >= wanted.min_new_tokens) {
    event.finish = FinishReason::kStop;
  } else if (request.index + 1 >= wanted.max_new_tokens) {
    event.finish = FinishReason::kLength;
  }
  if (event.finish != FinishReason::kNone) request.open[static_cast<size_t>(choice)] = false;
  return event;
}

void FakeEngine::Finish(Running& request, absl::Status status) {
  const FinishReason reason = status.ok()                 ? FinishReason::kStop
                              : absl::IsCancelled(status) ? FinishReason::kCancelled
                                                          : FinishReason::kError;
  FinishInfo info;
  info.status = std::move(status);
  info.usage = request.usage;
  info.usage.completion_tokens = request.generated;
  request.sink->OnFinish(info);
  request.sink.reset();
  MutexLock lock(&mutex_);
  ++stats_.requests_finished[static_cast<size_t>(reason)];
  changed_.NotifyAll();
}

absl::StatusOr<PrefixInfo> FakeEngine::Pin(PinRequest) { return FailedPrecondition("no pins"); }
absl::Status FakeEngine::Unpin(PrefixId) { return NotFound("no pins"); }
std::vector<PrefixInfo> FakeEngine::ListPrefixes() const { return {}; }
absl::Status FakeEngine::ReplaceModel(std::unique_ptr<Executor>, std::vector<PinRequest>) {
  return Unimplemented("no models");
}

EngineStats FakeEngine::Stats() const {
  MutexLock lock(&mutex_);
  EngineStats stats = stats_;
  stats.running = static_cast<int32_t>(running_.size());
  return stats;
}

absl::StatusOr<AuditReport> FakeEngine::Audit() {
  AuditReport report;
  report.pages[1] = {.total = 8, .free = 5, .owned = 2, .cached = 1, .pinned = 0};
  return report;
}

void FakeEngine::Drain(absl::Time deadline) {
  MutexLock lock(&mutex_);
  stats_.draining = true;
  while (!running_.empty()) {
    if (changed_.WaitWithDeadline(&mutex_, deadline)) continue;
    for (const auto& request : running_) request->cancelled->store(true);
    changed_.NotifyAll();
    while (!running_.empty()) changed_.Wait(&mutex_);
  }
}

}  // namespace intactkv
