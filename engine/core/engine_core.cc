#include "engine/core/engine_core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/core/check_sampling.h"
#include "engine/core/check_tokens.h"
#include "engine/core/engine_metrics.h"

namespace intactkv {
namespace {

// Pins, audits and the like that may wait at once, beside max_queue submissions.
constexpr size_t kControlSlots = 64;
constexpr size_t kLedgerRecords = 4'096;

int64_t BlockBytes(const EngineCoreOptions& options, PageClass cls) {
  return options.block_bytes[static_cast<size_t>(cls)];
}

}  // namespace

EngineCore::EngineCore(const EngineCoreOptions& options, EngineCoreParts parts)
    : options_(options),
      clock_(*parts.clock),
      cache_nonce_(parts.rng()),
      commands_(static_cast<size_t>(options.max_queue) + kControlSlots),
      vocab_size_(parts.executor->vocab_size()),
      ledger_(kLedgerRecords),
      pins_(options, std::move(parts.full_precision), &ledger_),
      stored_pool_(PageClass::kStored, options.num_stored_blocks,
                   BlockBytes(options, PageClass::kStored)),
      hot_pool_(PageClass::kHot, options.max_running, BlockBytes(options, PageClass::kHot)),
      manager_(
          {.prefix_cache = options.prefix_cache, .name_bytes = options.prefix_name_bytes_for_test},
          stored_pool_, hot_pool_),
      scheduler_({.max_running = options.max_running,
                  .max_tokens_per_step = options.max_tokens_per_step,
                  .max_scored_rows = options.max_scored_rows,
                  .share_prefill = options.prefix_cache},
                 manager_),
      executor_(std::move(parts.executor)),
      stats_(MakeEmptyStats()) {
  CHECK_GE(options_.max_queue, 1);
  stored_pool_.SetLedger(&ledger_);
  hot_pool_.SetLedger(&ledger_);
  PublishStats();
}

EngineCore::~EngineCore() { Stop(); }

void EngineCore::Start() {
  CHECK(!loop_.joinable()) << "Start twice";
  last_turn_unix_nanos_ = absl::ToUnixNanos(clock_.Now());
  loop_running_ = true;
  loop_ = std::thread([this] { Loop(); });
}

void EngineCore::Stop() {
  std::vector<std::function<void()>> waiters;
  {
    MutexLock lock(&door_);
    if (stopped_) return;
    stopped_ = true;
    waiters = std::move(drain_waiters_);
  }
  stop_loop_ = true;
  (void)commands_.TryPush(Command(ControlCommand([] {})));  // wakes an idle loop; if full, it wakes
  if (loop_.joinable()) loop_.join();
  // The loop is over: this thread is the engine thread now.
  TakeCommands();
  if (replacement_) {
    replacement_->done(Unavailable("the engine stops"));
    replacement_.reset();
  }
  DropAll(Unavailable("the engine stops"));
  pins_.Clear();
  manager_.ClearPrefixCache();
  PublishStats();
  for (const auto& done : waiters) done();
}

absl::Status EngineCore::Validate(const GenerationRequest& request) const {
  if (request.prompt.empty()) return InvalidArgument("the prompt is empty");
  RETURN_IF_ERROR(CheckTokens(request.prompt, vocab_size_));
  RETURN_IF_ERROR(CheckSampling(request.sampling, vocab_size_));
  if (request.score_prompt && request.sampling.num_logprobs < 0) {
    return InvalidArgument("score_prompt needs num_logprobs >= 0");
  }
  if (request.max_new_tokens < 1) return InvalidArgument("max_new_tokens must be at least 1");
  if (request.min_new_tokens < 0 || request.min_new_tokens > request.max_new_tokens) {
    return InvalidArgument("min_new_tokens must be in 0..max_new_tokens");
  }
  if (request.n < 1 || request.n > options_.max_choices) {
    return InvalidArgument("n must be in 1.." + std::to_string(options_.max_choices));
  }
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt + request.max_new_tokens > options_.max_model_len) {
    return InvalidArgument("prompt (" + std::to_string(prompt) + ") and max_new_tokens (" +
                           std::to_string(request.max_new_tokens) + ") exceed the context of " +
                           std::to_string(options_.max_model_len) + " tokens");
  }
  return absl::OkStatus();
}

absl::StatusOr<RequestHandle> EngineCore::Submit(GenerationRequest request,
                                                 std::unique_ptr<TokenSink> sink) {
  CHECK(sink != nullptr);
  auto control = std::make_shared<RequestControl>();
  control->signal = cancel_signal_;
  absl::Status status = Validate(request);
  if (status.ok()) {
    status = PushSubmit({std::move(request), std::move(sink), control, clock_.Now()});
  }
  if (!status.ok()) {
    ++num_rejected_;
    return status;
  }
  const auto cancel = [control] {
    control->cancelled = true;
    control->signal->any = true;  // after the flag: who sees this sees the flag too
  };
  return RequestHandle(cancel, [control, cancel] {
    control->stopped = true;
    cancel();
  });
}

absl::Status EngineCore::CheckDoor() const {
  if (stopped_ || draining_) return Unavailable("the engine is draining");
  if (num_queued_ >= options_.max_queue) {
    return ResourceExhausted("the queue of " + std::to_string(options_.max_queue) +
                             " requests is full");
  }
  return absl::OkStatus();
}

absl::Status EngineCore::CheckAdmission() {
  MutexLock lock(&door_);
  absl::Status status = CheckDoor();
  if (!status.ok()) ++num_rejected_;
  return status;
}

absl::Status EngineCore::PushSubmit(SubmitCommand command) {
  MutexLock lock(&door_);
  RETURN_IF_ERROR(CheckDoor());
  ++num_queued_;  // before the engine can take it back
  if (!commands_.TryPush(Command(std::move(command)))) {
    --num_queued_;
    return ResourceExhausted("the command queue is full");
  }
  ++num_accepted_;
  return absl::OkStatus();
}

absl::Status EngineCore::PushControl(ControlCommand command) {
  MutexLock lock(&door_);
  if (stopped_) return Unavailable("the engine has stopped");
  if (!commands_.TryPush(Command(std::move(command)))) {
    return ResourceExhausted("the command queue is full");
  }
  return absl::OkStatus();
}

void EngineCore::Await(const Notification& done) {
  if (loop_running_) {
    done.WaitForNotification();
  } else {
    while (!done.HasBeenNotified()) Step();
  }
}

template <typename Result>
Result EngineCore::RunAndWait(std::function<Result()> work) {
  std::optional<Result> result;
  Notification done;
  const absl::Status pushed = PushControl([&] {
    result.emplace(work());
    done.Notify();
  });
  if (!pushed.ok()) return Result(pushed);
  Await(done);
  return *std::move(result);
}

void EngineCore::MarkReady() {
  (void)RunAndWait<absl::Status>([this] {
    ready_ = true;
    pins_.ReleaseFullPrecision();
    return absl::OkStatus();
  });
}

absl::StatusOr<PrefixInfo> EngineCore::Pin(PinRequest request) {
  return RunAndWait<absl::StatusOr<PrefixInfo>>([&] { return PinNow(request); });
}

void EngineCore::PinAsync(PinRequest request,
                          std::function<void(absl::StatusOr<PrefixInfo>)> done) {
  const absl::Status pushed =
      PushControl([this, request = std::move(request), done] { done(PinNow(request)); });
  if (!pushed.ok()) done(pushed);
}

absl::Status EngineCore::Unpin(PrefixId id) {
  return RunAndWait<absl::Status>([&] { return pins_.Unpin(id); });
}

void EngineCore::UnpinAsync(PrefixId id, std::function<void(absl::Status)> done) {
  const absl::Status pushed = PushControl([this, id, done] { done(pins_.Unpin(id)); });
  if (!pushed.ok()) done(pushed);
}

std::vector<PrefixInfo> EngineCore::ListPrefixes() const {
  MutexLock lock(&stats_mutex_);
  return published_prefixes_;
}

absl::Status EngineCore::ReplaceModel(std::unique_ptr<Executor> executor,
                                      std::vector<PinRequest> pins) {
  absl::Status result;
  Notification done;
  ReplaceModelAsync(std::move(executor), std::move(pins), [&](absl::Status status) {
    result = std::move(status);
    done.Notify();
  });
  Await(done);
  return result;
}

void EngineCore::ReplaceModelAsync(std::unique_ptr<Executor> executor, std::vector<PinRequest> pins,
                                   std::function<void(absl::Status)> done) {
  CHECK(executor != nullptr);
  auto replacement = std::make_shared<Replacement>(  // std::function wants to be copyable
      Replacement{std::move(executor), std::move(pins), done});
  const absl::Status pushed =
      PushControl([this, replacement] { StartReplacement(std::move(*replacement)); });
  if (!pushed.ok()) done(pushed);
}

EngineStats EngineCore::Stats() const {
  EngineStats stats;
  {
    MutexLock lock(&stats_mutex_);
    stats = published_;
  }
  stats.requests_accepted = num_accepted_;
  stats.requests_rejected = num_rejected_;
  if (loop_running_) {
    const absl::Time last_turn = absl::FromUnixNanos(last_turn_unix_nanos_);
    stats.last_step_age = std::max(clock_.Now() - last_turn, absl::ZeroDuration());
  }
  MutexLock lock(&door_);
  stats.draining = draining_;
  return stats;
}

absl::StatusOr<AuditReport> EngineCore::Audit() {
  return RunAndWait<absl::StatusOr<AuditReport>>(
      [this]() -> absl::StatusOr<AuditReport> { return AuditWithLedger(); });
}

void EngineCore::Drain(absl::Time deadline) {
  Notification done;
  DrainAsync(deadline, [&] { done.Notify(); });
  Await(done);
}

void EngineCore::DrainAsync(absl::Time deadline, std::function<void()> done) {
  {
    MutexLock lock(&door_);
    if (!stopped_) {
      draining_ = true;
      drain_deadline_ = std::min(drain_deadline_, deadline);
      drain_waiters_.push_back(std::move(done));
      (void)commands_.TryPush(Command(ControlCommand([] {})));  // wakes the loop; if full, it wakes
      return;
    }
  }
  done();
}

}  // namespace intactkv
