// What is looked at after each step and at the end.
#include <algorithm>

#include "engine/base/page_entry.h"
#include "tests/sim/simulation.h"
#include "tests/sim/solo_run.h"

namespace intactkv::sim {
namespace {

constexpr uint64_t kSeedsPerSoloRun = 8;
constexpr int64_t kLivenessFactor = 4;

int64_t Total(const Histogram& histogram) {
  int64_t n = 0;
  for (const int64_t count : histogram.counts) n += count;
  return n;
}

}  // namespace

void Simulation::CheckAfterStep() {
  SyncCommands(commands_.size());
  mirror_.CatchUp(*engine_, pages_, counts_);
  mirror_.Compare(*engine_);
  rules_.CheckRest(engine_->scheduler());
  CheckFinished();
  CheckNothingOverdue();
  CheckScoresTold();
  CheckStats();
  CheckPages();
}

void Simulation::CheckFinished() {
  for (const auto& owned : requests_) {
    SimRequest& request = *owned;
    if (!request.finished() || request.finished_in_step > 0) continue;
    request.finished_in_step = num_steps_;
    request.cut_short = stopped_ || (drained_ && request.finished_at >= drain_deadline_);
    ++finished_in_step_;
    CheckEnd(request, scenario_.options.num_stored_blocks, findings_);
    CountEnd(request);
  }
}

void Simulation::CountEnd(const SimRequest& request) {
  auto reason = FinishReason::kError;
  switch (request.info.status.code()) {
    case absl::StatusCode::kOk:
      reason = request.reasons.front();
      break;
    case absl::StatusCode::kCancelled:
      reason = FinishReason::kCancelled;
      break;
    case absl::StatusCode::kDeadlineExceeded:
      ++counts_[request.admitted ? RarePath::kDeadlineRunning : RarePath::kDeadlineWaiting];
      break;
    case absl::StatusCode::kInvalidArgument:
      ++counts_[RarePath::kNeverFits];
      break;
    case absl::StatusCode::kUnavailable:
      ++counts_[RarePath::kDrainCut];
      break;
    default:
      break;
  }
  ++sums_.requests_finished[static_cast<size_t>(reason)];
  sums_.prompt_tokens += static_cast<int64_t>(request.event.request.prompt.size());
  sums_.generated_tokens += request.num_received();
  sums_.cached_tokens += request.info.usage.cached_tokens;
  sums_.pinned_tokens += request.info.usage.pinned_tokens;
  sums_.preemptions += request.info.num_preemptions;
}

// Whoever was given up, is late or sick before a step began is gone after it.
void Simulation::CheckNothingOverdue() {
  for (const auto& owned : requests_) {
    const SimRequest& request = *owned;
    if (request.finished()) continue;
    findings_.Require(!request.cancelled || request.cancelled_in_step >= num_steps_,
                      "cancelled, and still here");
    findings_.Require(request.deadline > step_began_, "late, and still here");
    findings_.Require(!request.sick, "failed, and still here");
    findings_.Require(clock_.Now() < drain_deadline_, "drained, and still here");
    findings_.Require(request.taken && engine_->scheduler().Find(request.id) != nullptr,
                      "without an end, and not in the scheduler");
  }
}

// What the scheduler holds for scored is what the client was told.
void Simulation::CheckScoresTold() {
  for (const auto& [id, group] : engine_->scheduler().groups()) {
    const auto told = static_cast<int32_t>(requests_.at(id.value)->scores.size());
    for (const Sequence& sequence : group.sequences) {
      findings_.Require(sequence.num_scored == (sequence.choice == 0 ? told : 0),
                        "scored is not what was told");
    }
  }
}

void Simulation::CheckStats() {
  const EngineStats stats = engine_->Stats();
  const auto accepted = static_cast<int64_t>(requests_.size());
  int64_t finished = 0;
  for (const int64_t n : stats.requests_finished) finished += n;
  const auto alive = static_cast<int64_t>(engine_->scheduler().groups().size());
  findings_.Require(stats.requests_accepted == accepted, "stats: accepted");
  findings_.Require(stats.requests_rejected == num_rejected_, "stats: rejected");
  findings_.Require(accepted == finished + alive, "stats: accepted is not finished and alive");
  findings_.Require(stats.requests_finished == sums_.requests_finished, "stats: finished");
  findings_.Require(stats.running == engine_->scheduler().num_running(), "stats: running");
  findings_.Require(stats.waiting == engine_->scheduler().num_waiting(), "stats: waiting");
  findings_.Require(stats.prompt_tokens == sums_.prompt_tokens, "stats: prompt tokens");
  findings_.Require(stats.generated_tokens == sums_.generated_tokens, "stats: generated tokens");
  findings_.Require(stats.cached_tokens == sums_.cached_tokens, "stats: cached tokens");
  findings_.Require(stats.pinned_tokens == sums_.pinned_tokens, "stats: pinned tokens");
  findings_.Require(stats.steps == num_executed_, "stats: steps");
  findings_.Require(stats.computed_tokens == num_rows_, "stats: computed tokens");
  findings_.Require(stats.draining == drained_, "stats: draining");
  findings_.Require(!ready_ || stats.full_precision_weight_bytes == 0,
                    "stats: full-precision weights while serving");
  findings_.Require(stats.unaccounted_pages == std::array<int32_t, 3>{}, "stats: unaccounted");
  const auto recorded = [this](LedgerEvent event) {
    return engine_->ledger().total(event, PageClass::kStored);
  };
  findings_.Require(stats.evicted_blocks == recorded(LedgerEvent::kEvict), "stats: evictions");
  findings_.Require(stats.preemptions == recorded(LedgerEvent::kPreempt), "stats: preemptions");
  findings_.Require(stats.prefix_hit_tokens == kPageTokens * recorded(LedgerEvent::kHit),
                    "stats: tokens found in the cache");
  findings_.Require(stats.non_finite_requests == num_non_finite_, "stats: non-finite requests");
}

void Simulation::CheckPages() {
  const AuditReport report = engine_->AuditNow();
  const EngineStats stats = engine_->Stats();
  for (const std::string& problem : report.problems) findings_.Add("audit: " + problem);
  const bool at_rest = !engine_->scheduler().has_work();
  for (size_t i = 0; i < report.pages.size(); ++i) {
    const PageCounts& pages = report.pages[i];
    const PageCounts& told = stats.pages[i];
    findings_.Require(report.unaccounted[i] == 0, "audit: unaccounted pages");
    findings_.Require(pages.free + pages.owned + pages.cached + pages.pinned == pages.total,
                      "audit: the sum is not the pool");
    findings_.Require(told.free == pages.free && told.owned == pages.owned &&
                          told.cached == pages.cached && told.pinned == pages.pinned,
                      "the gauges are not the recount");
    findings_.Require(!at_rest || pages.owned == 0, "owned at rest");
  }
  const PageCounts& pinned = report.pages[static_cast<size_t>(PageClass::kPinned)];
  const PageCounts& hot = report.pages[static_cast<size_t>(PageClass::kHot)];
  findings_.Require(pinned.total - pinned.free == pins_.BlocksHeld(Users()),
                    "pinned blocks are not those of pins and their users");
  findings_.Require(hot.owned == engine_->scheduler().num_running(), "hot slots");
}

void Simulation::CheckPins() {
  const std::vector<PrefixInfo> infos = engine_->ListPrefixes();
  findings_.Require(infos.size() == pins_.size(), "number of pins");
  for (const PrefixInfo& info : infos) findings_.Require(pins_.Has(info.id), "a pin that is not");
}

// Two steps in a row with work in which nobody computed and nobody ended: somebody spins.
void Simulation::CheckProgress(bool had_work) {
  const bool progress = !had_work || rows_in_step_ > 0 || finished_in_step_ > 0;
  idle_steps_ = progress ? 0 : idle_steps_ + 1;
  findings_.Require(idle_steps_ < 2, "work, and no progress");
}

void Simulation::CheckHistograms() {
  const EngineStats stats = engine_->Stats();
  int64_t admitted = 0, first_tokens = 0, finished = 0;
  for (const auto& request : requests_) {
    admitted += request->admitted ? 1 : 0;
    first_tokens += request->num_received() > 0 ? 1 : 0;
    finished += request->finished() ? 1 : 0;
  }
  findings_.Require(Total(stats.queue_seconds) == admitted, "histogram of queue times");
  findings_.Require(Total(stats.ttft_seconds) == first_tokens, "histogram of first tokens");
  findings_.Require(Total(stats.e2e_seconds) == finished, "histogram of latencies");
  findings_.Require(Total(stats.batch_rows) == num_executed_, "histogram of rows");
  if (AllFinished()) {
    findings_.Require(stats.preemptions == sums_.preemptions, "stats: preemptions");
  }
}

// Each answer is also that of the same request alone on an idle engine; and in liveness mode nobody
// took more than 4 times as long as all who were there together would have taken one by one.
void Simulation::CheckAlone() {
  if (scenario_.mode == Mode::kSafety && scenario_.seed % kSeedsPerSoloRun != 0) return;
  std::vector<int64_t> solo_steps;
  for (const auto& owned : requests_) {
    const SimRequest& request = *owned;
    const std::vector<TokenId> pin =
        request.match.pin == 0 ? std::vector<TokenId>() : pins_.tokens(request.match.pin);
    const SoloResult alone = RunAlone(scenario_.options, request.event.request, pin, request.model);
    solo_steps.push_back(std::max<int64_t>(alone.steps, 1));
    if (!request.info.status.ok()) continue;
    if (!alone.status.ok() || alone.tokens != request.tokens || alone.scores != request.scores) {
      findings_.Add("request #" + std::to_string(request.event.id) +
                    " alone answers otherwise: " + alone.status.ToString());
    }
  }
  if (scenario_.mode == Mode::kLiveness) CheckLiveness(solo_steps);
}

void Simulation::CheckLiveness(const std::vector<int64_t>& solo_steps) {
  for (const auto& request : requests_) {
    int64_t bound = 0;
    for (size_t i = 0; i < requests_.size(); ++i) {
      const bool overlaps = requests_[i]->arrived_in_step < request->finished_in_step &&
                            request->arrived_in_step < requests_[i]->finished_in_step;
      if (overlaps) bound += solo_steps[i];
    }
    const int64_t took = request->finished_in_step - request->arrived_in_step;
    if (took <= kLivenessFactor * bound) continue;
    findings_.Add("request #" + std::to_string(request->event.id) + " took " +
                  std::to_string(took) + " steps; alone and one by one all would take " +
                  std::to_string(bound));
  }
}

}  // namespace intactkv::sim
