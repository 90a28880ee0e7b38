#include "tests/sim/simulation.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv::sim {
namespace {

constexpr int64_t kMaxSteps = 100'000;
constexpr int64_t kRecordsShown = 40;
constexpr absl::Duration kStepTime = absl::Milliseconds(1), kRowTime = absl::Microseconds(20);
constexpr int32_t kAnyVocabulary = 1 << 20;  // a builder draws no token

}  // namespace

Simulation::Simulation(Scenario scenario)
    : scenario_(std::move(scenario)),
      pages_{.pinned = std::make_shared<HashPages>(scenario_.options.num_pinned_blocks),
             .stored = std::make_shared<HashPages>(scenario_.options.num_stored_blocks)},
      mirror_(
          scenario_.options, [this](uint64_t sequence) { return ShareKey(sequence); }, findings_),
      rules_(scenario_.options, findings_),
      served_{.epoch = 0, .vocab_size = scenario_.vocab_size} {
  engine_ = std::make_unique<EngineCore>(
      scenario_.options, EngineCoreParts{.executor = MakeExecutor(0, scenario_.vocab_size),
                                         .full_precision = [this] { return MakeBuilder(); },
                                         .clock = &clock_,
                                         .rng = Rng(scenario_.seed)});
}

std::unique_ptr<Executor> Simulation::MakeExecutor(uint64_t epoch, int32_t vocab_size) {
  executors_.push_back(std::make_shared<HashExecutor>(
      HashExecutorOptions{.pinned = pages_.pinned,
                          .stored = pages_.stored,
                          .num_hot_slots = scenario_.options.max_running,
                          .epoch = epoch,
                          .vocab_size = vocab_size}));
  return std::make_unique<SimExecutor>(executors_.back(), *this, /*builds=*/false);
}

absl::StatusOr<std::unique_ptr<Executor>> Simulation::MakeBuilder() {
  const auto fault = std::ranges::find(armed_build_, FaultPoint::kBuildFactory);
  if (fault != armed_build_.end()) {
    armed_build_.erase(fault);
    fired_build_.push_back(FaultPoint::kBuildFactory);
    return Internal("injected: no full-precision weights");
  }
  return std::make_unique<SimExecutor>(std::make_shared<HashExecutor>(HashExecutor::FullPrecision(
                                           pages_.pinned, engine_->epoch(), kAnyVocabulary)),
                                       *this, /*builds=*/true);
}

void Simulation::BeforeBuild(HashExecutor& executor) {
  mirror_.CatchUp(*engine_, pages_, counts_);
  for (const FaultPoint point : {FaultPoint::kBuildStep, FaultPoint::kBuildNonFinite}) {
    const auto fault = std::ranges::find(armed_build_, point);
    if (fault == armed_build_.end() || !fired_build_.empty()) continue;
    armed_build_.erase(fault);
    fired_build_.push_back(point);
    if (point == FaultPoint::kBuildStep) executor.faults().fail_steps = 1;
    if (point == FaultPoint::kBuildNonFinite) executor.faults().non_finite.insert(SequenceId(0));
  }
}

void Simulation::BeforeExecute(const StepPlan& plan, HashExecutor& executor) {
  SyncCommands(commands_.size());
  NoteAdmissions();
  pages_.hot = &executor.hot();
  mirror_.CatchUp(*engine_, pages_, counts_);
  rules_.CheckPlan(engine_->scheduler(), plan, replacing_);
  rules_.Count(engine_->scheduler(), plan, counts_);
  AbortMidStep(plan);
  InjectStepFault(plan, executor);
  clock_.Advance(kStepTime + kRowTime * static_cast<int64_t>(plan.rows.size()));
}

void Simulation::AfterExecute(const StepPlan& plan, bool ok) {
  const auto rows = static_cast<int64_t>(plan.rows.size());
  ++num_executed_;
  rows_in_step_ += rows;
  num_rows_ += ok ? rows : 0;
}

bool Simulation::Step() {
  step_began_ = clock_.Now();
  const Scheduler& scheduler = engine_->scheduler();
  const bool had_work = scheduler.has_work();
  rules_.Begin(scheduler);
  if (const PrefixCache* cache = scheduler.manager().prefix_cache()) {
    mirror_.NoteNextVictim(cache->next_victim());
  }
  rows_in_step_ = 0;
  finished_in_step_ = 0;
  ++num_steps_;
  const bool more = engine_->Step();
  CheckAfterStep();
  CheckProgress(had_work);
  return more;
}

void Simulation::GetReady() {
  ApplyDueEvents();
  Step();
  engine_->MarkReady();
  ready_ = true;
  armed_build_.clear();
}

Outcome Simulation::Run() {
  GetReady();
  while (findings_.empty()) {
    ApplyDueEvents();
    ReadSlowly();
    AbortWhere();
    if (scenario_.stop_early && next_event_ == scenario_.events.size()) break;
    if (num_steps_ > kMaxSteps) findings_.Add("the engine does not come to rest");
    if (Step()) continue;
    if (next_event_ < scenario_.events.size()) {
      const absl::Time next = absl::UnixEpoch() + scenario_.events[next_event_].at;
      clock_.Advance(std::max(next - clock_.Now(), absl::ZeroDuration()));
    } else {
      findings_.Require(AllFinished(), "nothing to do, and a request without an end");
      break;
    }
  }
  if (findings_.empty()) Finish();
  Outcome outcome{.problem = findings_.first(), .recent = {}, .counts = counts_};
  if (!outcome.problem.empty()) outcome.recent = RecentRecords();
  outcome.num_requests = static_cast<int64_t>(requests_.size());
  outcome.num_steps = num_steps_;
  for (const auto& request : requests_) outcome.num_tokens += request->num_received();
  return outcome;
}

bool Simulation::AllFinished() const {
  return std::ranges::all_of(requests_, [](const auto& request) { return request->finished(); });
}

// After Stop() everything has ended and every page is free.
void Simulation::Finish() {
  CheckHistograms();
  CheckPins();
  if (!scenario_.stop_early) CheckAlone();
  counts_[RarePath::kStall] += engine_->scheduler_counters().stalls;
  if (const PrefixCache* cache = engine_->scheduler().manager().prefix_cache()) {
    counts_[RarePath::kNameConflict] += cache->num_name_conflicts();
  }
  stopped_ = true;
  engine_->Stop();
  findings_.Require(num_drained_calls_ == (drained_ ? 1 : 0), "calls of the drain's callback");
  CheckFinished();
  findings_.Require(AllFinished(), "stopped, and a request without an end");
  mirror_.CatchUp(*engine_, pages_, counts_);
  mirror_.Compare(*engine_);
  for (const PageCounts& pages : engine_->AuditNow().pages) {
    findings_.Require(pages.free == pages.total, "a page leaked");
  }
}

std::string Simulation::RecentRecords() const {
  const KvLedger& ledger = engine_->ledger();
  std::string text;
  const int64_t first = std::max(ledger.first_kept(), ledger.num_records() - kRecordsShown);
  for (int64_t i = first; i < ledger.num_records(); ++i) {
    text += "  " + intactkv::ToString(ledger.at(i)) + "\n";
  }
  return text;
}

}  // namespace intactkv::sim
