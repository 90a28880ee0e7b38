// What a scenario does to the engine, and when clients give up.
#include <algorithm>
#include <utility>

#include "tests/sim/simulation.h"

namespace intactkv::sim {
namespace {

constexpr size_t kMinAnswer = 16, kMaxConversation = 160;  // tokens
constexpr absl::Duration kStall = absl::Milliseconds(30);  // a reader without progress is dropped
constexpr absl::Duration kClockJump = absl::Milliseconds(40);

}  // namespace

void Simulation::ApplyDueEvents() {
  while (next_event_ < scenario_.events.size()) {
    const Event& event = scenario_.events[next_event_];
    if (absl::UnixEpoch() + event.at > clock_.Now()) return;
    ++next_event_;
    std::visit([this](const auto& what) { Apply(what); }, event.what);
  }
}

void Simulation::Apply(const SubmitEvent& event) {
  auto owned = std::make_unique<SimRequest>();
  SimRequest& request = *owned;
  request.event = event;
  GenerationRequest& asked = request.event.request;
  if (const SimRequest* before = FollowedBy(event)) {
    request.follows = before;
    std::vector<TokenId> prompt = before->event.request.prompt;
    const std::vector<TokenId>& answer = before->tokens.front();
    prompt.insert(prompt.end(), answer.begin(), answer.end());
    prompt.insert(prompt.end(), asked.prompt.begin(), asked.prompt.end());
    asked.prompt = std::move(prompt);
  }
  request.submitted = clock_.Now();
  request.deadline = clock_.Now() + event.time_limit;
  asked.deadline = request.deadline;
  request.tokens.resize(static_cast<size_t>(asked.n));
  request.reasons.resize(static_cast<size_t>(asked.n));
  request.id = RequestId(requests_.size());
  request.arrived_in_step = num_steps_;
  auto sink =
      std::make_unique<SimSink>(request, clock_, findings_, [this](SimRequest& r) { OnTokens(r); });
  absl::StatusOr<RequestHandle> handle = engine_->Submit(asked, std::move(sink));
  CheckRefusal(handle.status(), asked);
  if (!handle.ok()) {
    ++num_rejected_;
    return;
  }
  request.accepted = true;
  request.handle = *std::move(handle);
  requests_.push_back(std::move(owned));
  by_event_[event.id] = &request;
  commands_.emplace_back(SubmitCommand{&request});
  if (event.abort_in == AbortState::kQueued) {
    ++counts_[RarePath::kAbortQueued];
    request.abort_done = true;
    Cancel(request);
  }
}

const SimRequest* Simulation::FollowedBy(const SubmitEvent& event) const {
  for (int id = event.follows; id >= 0; --id) {
    const auto it = by_event_.find(id);
    if (it == by_event_.end()) continue;
    const SimRequest& before = *it->second;
    const size_t answer = before.tokens.front().size();
    if (answer < kMinAnswer || !before.finished()) continue;
    if (before.event.request.prompt.size() + answer <= kMaxConversation) return &before;
  }
  return nullptr;
}

// Whether Submit had to say what it said.
void Simulation::CheckRefusal(const absl::Status& status, const GenerationRequest& request) {
  const auto queued = std::ranges::count_if(
      requests_, [](const auto& r) { return !r->admitted && !r->finished(); });
  const bool outside = std::ranges::any_of(
      request.prompt, [this](TokenId token) { return token.value >= served_.vocab_size; });
  auto expected = absl::StatusCode::kOk;
  if (outside) {
    expected = absl::StatusCode::kInvalidArgument;
  } else if (drained_) {
    expected = absl::StatusCode::kUnavailable;
  } else if (queued >= scenario_.options.max_queue) {
    expected = absl::StatusCode::kResourceExhausted;
    ++counts_[RarePath::kQueueFull];
  }
  if (status.code() != expected) findings_.Add("Submit answers " + status.ToString());
}

void Simulation::Apply(const PinEvent& event) {
  const size_t index = commands_.size();
  commands_.emplace_back(PinCommand{.pin = event.pin, .result = {}});
  engine_->PinAsync(event.pin, [this, index](absl::StatusOr<PrefixInfo> info) {
    std::get<PinCommand>(commands_[index]).result = std::move(info);
    SyncCommands(index + 1);
  });
}

void Simulation::Apply(const UnpinEvent& event) {
  const auto it = pin_ids_.find("pin" + std::to_string(event.pin));
  if (it == pin_ids_.end()) return;  // never pinned: a refusal has been seen already
  const size_t index = commands_.size();
  commands_.emplace_back(UnpinCommand{.id = it->second, .result = {}});
  engine_->UnpinAsync(it->second, [this, index](absl::Status status) {
    std::get<UnpinCommand>(commands_[index]).result = std::move(status);
    SyncCommands(index + 1);
  });
}

void Simulation::Apply(const ReplaceEvent& event) {
  const size_t index = commands_.size();
  commands_.emplace_back(ReplaceCommand{.event = event, .result = {}});
  // If it waits for another exchange and that one comes first, this executor's epoch is wrong; but
  // then it is refused.
  engine_->ReplaceModelAsync(
      MakeExecutor(engine_->epoch() + 1, event.vocab_size), event.pins,
      [this, index](absl::Status status) { OnReplaced(index, std::move(status)); });
}

void Simulation::Apply(const FaultEvent& event) {
  switch (event.point) {
    case FaultPoint::kClockJump:
      clock_.Advance(kClockJump);
      break;
    case FaultPoint::kStepFails:
    case FaultPoint::kNonFinite:
      armed_step_ = event;
      break;
    default:
      armed_build_ = {event.point};
  }
}

void Simulation::Apply(const DrainEvent& event) {
  drained_ = true;
  drain_deadline_ = clock_.Now() + event.limit;
  engine_->DrainAsync(drain_deadline_, [this] { ++num_drained_calls_; });
}

void Simulation::InjectStepFault(const StepPlan& plan, HashExecutor& executor) {
  if (!armed_step_) return;
  const FaultEvent fault = *std::exchange(armed_step_, std::nullopt);
  if (fault.point == FaultPoint::kStepFails) {
    executor.faults().fail_steps = 1;
    ++counts_[RarePath::kStepFailed];
    for (const PlanSequence& planned : plan.sequences)
      by_sequence_.at(planned.id.value)->sick = true;
    return;
  }
  const size_t index = static_cast<size_t>(fault.choice) % plan.sequences.size();
  const SequenceId victim = plan.sequences[index].id;
  executor.faults().non_finite.insert(victim);
  ++counts_[RarePath::kNonFinite];
  ++num_non_finite_;
  by_sequence_.at(victim.value)->sick = true;
}

void Simulation::ReadSlowly() {
  for (const auto& owned : requests_) {
    SimRequest& request = *owned;
    const absl::Duration interval = request.event.read_interval;
    if (interval == absl::ZeroDuration() || request.finished() || request.cancelled) continue;
    const absl::Time now = clock_.Now();
    if (request.num_received() == request.num_read) {
      request.last_progress = now;
      request.next_read = now + interval;
    }
    while (request.num_received() > request.num_read && request.next_read <= now) {
      ++request.num_read;
      request.next_read += interval;
      request.last_progress = now;
    }
    if (now - request.last_progress < kStall) continue;
    ++counts_[RarePath::kSlowReader];
    Cancel(request);
  }
}

void Simulation::AbortWhere() {
  for (const auto& owned : requests_) {
    SimRequest& request = *owned;
    const AbortState state = request.event.abort_in;
    if (request.abort_done || !IsIn(state, request)) continue;
    request.abort_done = true;
    const auto path = static_cast<size_t>(RarePath::kAbortQueued) + static_cast<size_t>(state) -
                      static_cast<size_t>(AbortState::kQueued);
    ++counts_.counts[path];
    Cancel(request);
  }
}

bool Simulation::IsIn(AbortState state, const SimRequest& request) const {
  if (state == AbortState::kFinished) return request.finished();
  const RequestGroup* group = engine_->scheduler().Find(request.id);
  if (group == nullptr) return false;
  const auto any = [group](auto predicate) {
    return std::ranges::any_of(group->sequences, predicate);
  };
  const auto runs = [](const Sequence& s) { return s.kv.hot.has_value(); };
  const Sequence& first = group->sequences.front();
  switch (state) {
    case AbortState::kWaiting:
      return !group->admitted;
    case AbortState::kPrefilling:
      return runs(first) && first.num_generated() == 0;
    case AbortState::kDecoding:
      return runs(first) && first.num_generated() >= 1 + request.event.id % 9;
    case AbortState::kPreempted:
      return any(
          [&](const Sequence& s) { return !s.finished && !runs(s) && s.num_preemptions > 0; });
    case AbortState::kReserved:
      return any([](const Sequence& s) { return s.kv.reserved; });
    case AbortState::kSibling:
      return runs(first) && any([&](const Sequence& s) { return s.choice > 0 && !runs(s); });
    case AbortState::kHalfDone:
      return any([](const Sequence& s) { return s.finished; });
    case AbortState::kReplacing:
      return replacing_;
    case AbortState::kScoring:
      return request.is_being_scored();
    default:
      return false;
  }
}

void Simulation::AbortMidStep(const StepPlan& plan) {
  for (const PlanSequence& planned : plan.sequences) {
    SimRequest& request = *by_sequence_.at(planned.id.value);
    if (request.event.abort_in != AbortState::kMidStep || request.abort_done) continue;
    if (request.num_received() < request.event.id % 5) continue;
    request.abort_done = true;
    ++counts_[RarePath::kAbortMidStep];
    Cancel(request);
  }
}

void Simulation::OnTokens(SimRequest& request) {
  if (request.event.abort_in != AbortState::kInCallback || request.abort_done) return;
  if (request.num_received() < request.event.id % 7) return;
  request.abort_done = true;
  ++counts_[RarePath::kAbortInCallback];
  Cancel(request);
}

// Both ways to give up, by turns; a second time changes nothing.
void Simulation::Cancel(SimRequest& request) {
  if (!request.cancelled) request.cancelled_in_step = num_steps_;
  request.cancelled = true;
  if (request.event.id % 2 == 0) {
    request.handle.Cancel();
  } else {
    request.handle = RequestHandle();
  }
}

}  // namespace intactkv::sim
