// What the engine thread does between and in steps.
#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/json_log.h"
#include "engine/base/status_macros.h"
#include "engine/core/check_sampling.h"
#include "engine/core/check_tokens.h"
#include "engine/core/engine_core.h"
#include "engine/core/engine_metrics.h"

namespace intactkv {
namespace {

constexpr int64_t kStepsPerAudit = 1'024;                      // while busy; at rest always
constexpr absl::Duration kIdleWait = absl::Milliseconds(200);  // a push ends the wait at once

const char* ReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "unknown";
}

}  // namespace

void EngineCore::Loop() {
  while (!stop_loop_) {
    last_turn_unix_nanos_ = absl::ToUnixNanos(clock_.Now());
    if (!Step()) (void)commands_.WaitNonEmpty(kIdleWait);
  }
}

bool EngineCore::Step() {
  bool worked = TakeCommands();
  worked |= DropCancelled();
  worked |= DropExpired();
  worked |= AdvanceReplacement();
  worked |= RunStep();
  if (worked) {
    if (!scheduler_.has_work() || step_ % kStepsPerAudit == 0) AuditAndNote();
    PublishStats();
  }
  CheckDrained();
  return worked || scheduler_.has_work();
}

bool EngineCore::TakeCommands() {
  // What comes in meanwhile waits for the next step: nobody can hold this one up.
  const size_t count = commands_.size();
  for (size_t i = 0; i < count; ++i) {
    std::optional<Command> command = commands_.TryPop();
    CHECK(command.has_value()) << "only the engine thread takes commands";
    if (auto* submit = std::get_if<SubmitCommand>(&*command)) {
      TakeSubmit(std::move(*submit));
    } else {
      std::get<ControlCommand> (*command)();
      PublishStats();
    }
  }
  return count > 0;
}

void EngineCore::TakeSubmit(SubmitCommand command) {
  const RequestId id(next_request_id_++);
  LiveRequest& live = live_[id];
  live.request_id = std::move(command.request.request_id);
  live.sink = std::move(command.sink);
  live.control = std::move(command.control);
  live.submitted = command.submitted;
  live.last_token.resize(static_cast<size_t>(command.request.n));
  RequestProgress progress;
  progress.usage.prompt_tokens = static_cast<int32_t>(command.request.prompt.size());
  // DropCancelled() looks at live requests only: if it cleared the signal while this one was still
  // in the queue, nobody else would ever look at its flag.
  const absl::Status status = live.control->cancelled ? Cancelled("cancelled by the client")
                                                      : Enqueue(id, std::move(command.request));
  if (!status.ok()) Finish(id, status, progress);
}

absl::Status EngineCore::Enqueue(RequestId id, GenerationRequest request) {
  // Again: the model may have been replaced since the client's thread looked.
  RETURN_IF_ERROR(CheckTokens(request.prompt, vocab_size_));
  RETURN_IF_ERROR(CheckSampling(request.sampling, vocab_size_));
  NewRequest entry{.id = id, .request = std::move(request)};
  ASSIGN_OR_RETURN(entry.anchor, MatchAndAnchor(entry.request, entry.pinned));
  return scheduler_.Add(std::move(entry));
}

absl::StatusOr<BlockHash> EngineCore::MatchAndAnchor(const GenerationRequest& request,
                                                     PinnedMatch& pinned) {
  ASSIGN_OR_RETURN(pinned, pins_.Match(request.prompt, request.tenant));
  return HashAnchor(
      {.nonce = cache_nonce_,
       .model_identity = options_.model_identity,
       .epoch = epoch_,
       .tenant = request.tenant,
       .cache_salt = request.cache_salt,
       .pinned_tokens = std::span(request.prompt).first(static_cast<size_t>(pinned.num_tokens))});
}

bool EngineCore::DropCancelled() {
  if (!cancel_signal_->any.exchange(false)) return false;
  std::vector<RequestId> ids;
  for (const auto& [id, live] : live_) {
    if (live.control->cancelled) ids.push_back(id);
  }
  for (const RequestId id : ids) Fail(id, Cancelled("cancelled by the client"));
  return !ids.empty();
}

bool EngineCore::DropExpired() {
  const std::vector<RequestId> ids = scheduler_.Expired(clock_.Now());
  for (const RequestId id : ids) Fail(id, DeadlineExceeded("the request's deadline has passed"));
  return !ids.empty();
}

void EngineCore::DropAll(const absl::Status& status) {
  std::vector<RequestId> ids;
  for (const auto& [id, live] : live_) ids.push_back(id);
  for (const RequestId id : ids) Fail(id, status);
}

bool EngineCore::RunStep() {
  ledger_.SetStep(++step_);
  const StepPlan plan = scheduler_.Schedule(step_);
  NoteAdmissions();
  if (plan.empty()) {
    if (!scheduler_.has_work() || replacement_) return false;
    // Nothing is in flight that could make room later: waiting on would be spinning.
    Fail(*scheduler_.Oldest(), ResourceExhausted("no KV blocks for the oldest request"));
    return true;
  }
  absl::StatusOr<StepResult> result = executor_->Execute(plan);
  ++stats_.steps;
  Observe(stats_.batch_rows, static_cast<double>(plan.rows.size()));
  if (!result.ok()) {
    FailStep(plan, std::string(ToStd(result.status().message())));
    return true;
  }
  Deliver(scheduler_.UpdateFromOutput(plan, *result));
  return true;
}

void EngineCore::FailStep(const StepPlan& plan, const std::string& message) {
  ++stats_.step_failures;
  LogLine("error", "step_failed")
      .Add("step", step_)
      .Add("sequences", static_cast<int64_t>(plan.sequences.size()))
      .Add("rows", static_cast<int64_t>(plan.rows.size()))
      .Add("message", message);
  for (const RequestId id : scheduler_.AbandonStep()) Fail(id, Internal("step failed: " + message));
}

void EngineCore::NoteAdmissions() {
  if (scheduler_.newly_admitted().empty()) return;
  const absl::Time now = clock_.Now();
  for (const RequestId id : scheduler_.newly_admitted()) {
    LiveRequest& live = live_.at(id);
    live.admitted = now;
    --num_queued_;
    Observe(stats_.queue_seconds, absl::ToDoubleSeconds(now - live.submitted));
  }
}

void EngineCore::Deliver(std::vector<RequestUpdate> updates) {
  for (RequestUpdate& update : updates) {
    LiveRequest& live = live_.at(update.id);
    if (!update.events.empty()) {
      NoteTokens(live, update.events);
      live.sink->OnTokens(std::move(update.events));
    }
    if (!update.done) continue;
    if (update.non_finite) ++stats_.non_finite_requests;
    Finish(update.id,
           update.non_finite ? Internal("the model produced a non-finite value") : absl::OkStatus(),
           update.progress);
  }
}

void EngineCore::NoteTokens(LiveRequest& live, const std::vector<TokenEvent>& events) {
  const absl::Time now = clock_.Now();
  for (const TokenEvent& event : events) {
    if (event.of_prompt) continue;
    if (!live.first_token) {
      live.first_token = now;
      Observe(stats_.ttft_seconds, absl::ToDoubleSeconds(now - live.submitted));
    }
    std::optional<absl::Time>& last = live.last_token[static_cast<size_t>(event.choice)];
    if (last) {
      Observe(stats_.itl_seconds, absl::ToDoubleSeconds(now - *last));
      live.itl_sum += now - *last;
      ++live.num_itl;
    }
    last = now;
  }
}

void EngineCore::Fail(RequestId id, const absl::Status& status) {
  const std::optional<RequestProgress> progress = scheduler_.Remove(id);
  CHECK(progress) << "request " << id.value << " is not in the scheduler";
  Finish(id, status, *progress);
}

void EngineCore::Finish(RequestId id, const absl::Status& status, const RequestProgress& progress) {
  auto node = live_.extract(id);
  CHECK(!node.empty()) << "request " << id.value << " finished twice";
  LiveRequest& live = node.mapped();
  const absl::Time now = clock_.Now();
  if (!live.admitted) --num_queued_;
  FinishInfo info;
  const bool stopped = live.control->stopped && absl::IsCancelled(status);
  info.status = stopped ? absl::OkStatus() : status;
  info.usage = progress.usage;
  info.num_preemptions = progress.num_preemptions;
  info.queue_time = live.admitted.value_or(now) - live.submitted;
  info.first_token =
      live.first_token ? *live.first_token - live.submitted : absl::InfiniteDuration();
  const FinishReason reason = stopped ? FinishReason::kStop : ReasonOf(status, progress.finish);
  ++stats_.requests_finished[static_cast<size_t>(reason)];
  stats_.prompt_tokens += info.usage.prompt_tokens;
  stats_.generated_tokens += info.usage.completion_tokens;
  stats_.cached_tokens += info.usage.cached_tokens;
  stats_.pinned_tokens += info.usage.pinned_tokens;
  Observe(stats_.e2e_seconds, absl::ToDoubleSeconds(now - live.submitted));
  if (options_.log_requests) LogFinish(id, live, info, reason);
  live.sink->OnFinish(info);
}

void EngineCore::LogFinish(RequestId id, const LiveRequest& live, const FinishInfo& info,
                           FinishReason reason) const {
  LogLine line("info", "generation_done");
  if (!live.request_id.empty()) line.Add("request_id", live.request_id);
  line.Add("id", id.value)
      .Add("prompt_tokens", info.usage.prompt_tokens)
      .Add("tokens", info.usage.completion_tokens)
      .Add("cached_tokens", info.usage.cached_tokens)
      .Add("pinned_tokens", info.usage.pinned_tokens)
      .Add("preemptions", info.num_preemptions)
      .Add("queue_seconds", absl::ToDoubleSeconds(info.queue_time))
      .Add("reason", ReasonName(reason));
  if (live.first_token) line.Add("ttft_seconds", absl::ToDoubleSeconds(info.first_token));
  if (live.num_itl > 0) {
    line.Add("itl_mean_seconds",
             absl::ToDoubleSeconds(live.itl_sum) / static_cast<double>(live.num_itl));
  }
  if (!info.status.ok()) line.Add("status", absl::StatusCodeToString(info.status.code()));
}

void EngineCore::CheckDrained() {
  std::vector<std::function<void()>> waiters;
  {
    MutexLock lock(&door_);
    if (!draining_) return;
    const bool late = clock_.Now() >= drain_deadline_;
    if (!late && (!live_.empty() || replacement_ || commands_.size() > 0)) return;
    waiters = std::move(drain_waiters_);
    drain_waiters_.clear();
  }
  if (waiters.empty() && live_.empty()) return;
  TakeCommands();  // what came in before the door was shut
  DropAll(Unavailable("the server is shutting down"));
  PublishStats();
  for (const auto& done : waiters) done();
}

void EngineCore::PublishStats() {
  const SchedulerCounters& counters = scheduler_.counters();
  stats_.computed_tokens = counters.computed_tokens;
  stats_.prefix_queries_tokens = counters.prefix_queries_tokens;
  stats_.prefix_hit_tokens = counters.prefix_hit_tokens;
  stats_.preemptions = counters.preemptions;
  stats_.clamped_values = counters.clamped_values;
  stats_.evicted_blocks = manager_.num_evicted();
  stats_.running = scheduler_.num_running();
  stats_.waiting = scheduler_.num_waiting();
  stats_.pages = CountPages();
  stats_.full_precision_weight_bytes = pins_.full_precision_bytes();
  MutexLock lock(&stats_mutex_);
  published_ = stats_;
  if (published_version_ == pins_.version()) return;  // most steps
  published_version_ = pins_.version();
  published_prefixes_ = pins_.List();
}

}  // namespace intactkv
