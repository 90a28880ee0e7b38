#include "tests/sim/order_rules.h"

#include <algorithm>

#include "engine/base/page_entry.h"
#include "tests/sim/score_rules.h"

namespace intactkv::sim {
namespace {

// Blocks that it still needs for the tokens it knows.
int32_t Pending(const Sequence& sequence) {
  return std::max(0, sequence.PrivateBlocksFor(sequence.num_tokens()) -
                         static_cast<int32_t>(sequence.kv.stored.size()));
}

}  // namespace

void OrderRules::Begin(const Scheduler& scheduler) {
  before_.clear();
  for (const auto& [id, group] : scheduler.groups()) {
    for (const Sequence& sequence : group.sequences) {
      before_[sequence.id.value] = {.request_admitted = group.admitted,
                                    .running = sequence.kv.hot.has_value(),
                                    .reserved = sequence.kv.reserved,
                                    .num_preemptions = sequence.num_preemptions};
    }
  }
}

std::vector<OrderRules::View> OrderRules::Views(const Scheduler& scheduler,
                                                const StepPlan& plan) const {
  std::map<uint64_t, const PlanSequence*> plans;
  for (const PlanSequence& planned : plan.sequences) plans[planned.id.value] = &planned;
  std::vector<View> views;  // by sequence id: requests and choices are in order of age
  for (const auto& [id, group] : scheduler.groups()) {
    for (const Sequence& sequence : group.sequences) {
      if (sequence.finished) continue;
      View view{.sequence = &sequence};
      const auto before = before_.find(sequence.id.value);
      if (before != before_.end()) view.before = before->second;
      const auto planned = plans.find(sequence.id.value);
      if (planned != plans.end()) {
        view.num_rows = planned->second->num_rows;
        view.appends = planned->second->append;
        view.num_scored = NumScoredAmong(sequence, view.num_rows);
      }
      views.push_back(view);
    }
  }
  return views;
}

void OrderRules::CheckPlan(const Scheduler& scheduler, const StepPlan& plan, bool paused) {
  const std::vector<View> views = Views(scheduler, plan);
  int32_t total = 0;
  for (const View& view : views) {
    total += view.num_rows;
    if (view.num_rows > 0 && !view.running()) findings_.Add("planned, but not running");
  }
  findings_.Require(total == static_cast<int32_t>(plan.rows.size()), "rows of nobody");
  findings_.Require(total <= options_.max_tokens_per_step, "more rows than the budget");
  findings_.Require(scheduler.num_running() <= options_.max_running, "more run than may");
  CheckPreemptions(views);
  CheckAdmissions(views, paused);
  CheckBudget(scheduler, views);
  CheckRows(views, plan);
  CheckRoom(scheduler, views);
  CheckNobodyWaitsInVain(scheduler, views, paused);
}

void OrderRules::CheckPreemptions(const std::vector<View>& views) {
  bool older_ran = false;
  for (size_t i = 0; i < views.size(); ++i) {
    const View& view = views[i];
    if (view.preempted()) {
      findings_.Require(view.before.running, "preempted without running");
      findings_.Require(!view.before.reserved, "a reserved sequence was preempted");
      findings_.Require(view.sequence->num_preemptions <= 2, "preempted more than twice");
      findings_.Require(older_ran, "the oldest was preempted");
      for (size_t k = i + 1; k < views.size(); ++k) {
        findings_.Require(!views[k].running() || views[k].sequence->kv.reserved,
                          "not the youngest was preempted");
      }
    }
    older_ran |= view.running() && view.before.running;
  }
}

void OrderRules::CheckAdmissions(const std::vector<View>& views, bool paused) {
  bool someone_waits = false, any_admitted = false, any_preempted = false;
  for (const View& view : views) {
    any_admitted |= view.admitted();
    any_preempted |= view.preempted();
    if (view.admitted()) {
      findings_.Require(!someone_waits, "admitted before an older one");
      findings_.Require(!paused || view.before.request_admitted, "admitted while paused");
      const bool again = view.sequence->num_preemptions >= 2;
      findings_.Require(again == view.sequence->kv.reserved, "reserved: exactly after two");
      findings_.Require(!WaitsForFirst(*view.sequence), "a choice did not wait for choice 0");
      const bool hits = view.sequence->num_computed > view.sequence->num_pinned();
      findings_.Require(!hits || !OwesScores(*view.sequence), "a hit in place of scores");
    }
    someone_waits |= !view.running();
  }
  findings_.Require(!any_admitted || !any_preempted, "admitted in a step that preempts");
}

// Oldest first, each as much as the budget gives; less only where blocks ran out.
void OrderRules::CheckBudget(const Scheduler& scheduler, const std::vector<View>& views) {
  int32_t budget = options_.max_tokens_per_step, scored = options_.max_scored_rows;
  for (const bool admitted : {false, true}) {
    for (const View& view : views) {
      if (!view.running() || view.admitted() != admitted) continue;
      const Sequence& sequence = *view.sequence;
      const int32_t wanted = MostRows(sequence, budget, scored);
      if (view.num_rows > wanted) findings_.Add("computes more than it knows, or may score");
      if (view.num_rows < wanted) CheckLess(scheduler, view);
      budget -= view.num_rows;
      scored -= view.num_scored;
      const int32_t opened = sequence.kv.reserved ? sequence.WorstCaseBlocks()
                                                  : BlocksFor(view.end() - sequence.num_pinned());
      findings_.Require(static_cast<int32_t>(sequence.kv.stored.size()) == opened,
                        "holds other blocks than it has opened");
    }
  }
}

void OrderRules::CheckLess(const Scheduler& scheduler, const View& view) {
  const int32_t in_page = (view.end() - view.sequence->num_pinned()) % kPageTokens;
  findings_.Require(scheduler.manager().num_available() == 0, "kept waiting for nothing");
  findings_.Require(!view.admitted() && in_page == 0, "its open page has room");
  findings_.Require(!ScoresBelowC(*view.sequence), "waits for blocks that it does not need");
}

// Each sequence's rows are its next ones, and exactly those that must give logits do.
void OrderRules::CheckRows(const std::vector<View>& views, const StepPlan& plan) {
  std::map<uint64_t, const Sequence*> sequences;
  for (const View& view : views) sequences[view.sequence->id.value] = view.sequence;
  size_t samples = 0;
  for (const PlanSequence& planned : plan.sequences) {
    const auto it = sequences.find(planned.id.value);
    if (it == sequences.end()) return findings_.Add("a plan for nobody");
    samples += CheckPlannedRows(*it->second, plan, planned, samples, findings_);
  }
  findings_.Require(samples == plan.samples.size(), "samples of nobody");
}

// Choices share full blocks: those behind choice 0 wait until it has prefilled.
bool OrderRules::WaitsForFirst(const Sequence& sequence) const {
  return options_.prefix_cache && sequence.choice > 0 &&
         sequence.num_tokens() - 1 - sequence.num_pinned() >= kPageTokens &&
         sequence.group->sequences.front().num_generated() == 0;
}

// Whoever was admitted fits with all that is known of everybody.
void OrderRules::CheckRoom(const Scheduler& scheduler, const std::vector<View>& views) {
  int32_t pending = 0;
  bool any_admitted = false;
  for (const View& view : views) {
    any_admitted |= view.admitted();
    if (view.running()) pending += Pending(*view.sequence);
  }
  findings_.Require(!any_admitted || pending <= scheduler.manager().num_available(),
                    "admitted without room");
}

// With budget, a hot slot and blocks left, the oldest that waits is admitted.
void OrderRules::CheckNobodyWaitsInVain(const Scheduler& scheduler, const std::vector<View>& views,
                                        bool paused) {
  int32_t budget = options_.max_tokens_per_step, pending = 0;
  const Sequence* oldest = nullptr;
  for (const View& view : views) {
    if (view.preempted()) return;
    budget -= view.num_rows;
    const Sequence& sequence = *view.sequence;
    if (view.running()) {
      pending += Pending(sequence);
    } else if (oldest == nullptr) {
      oldest = &sequence;
    }
  }
  if (oldest == nullptr || budget <= 0 || scheduler.num_running() >= options_.max_running) return;
  const RequestGroup& group = *oldest->group;
  if (paused && !group.admitted) return;
  if (WaitsForFirst(*oldest)) return;
  const int32_t needs = oldest->num_preemptions >= 2
                            ? oldest->WorstCaseBlocks()
                            : oldest->PrivateBlocksFor(oldest->num_tokens());
  findings_.Require(needs + pending > scheduler.manager().num_available(), "waits in vain");
}

void OrderRules::CheckRest(const Scheduler& scheduler) {
  int32_t running = 0, waiting = 0;
  for (const auto& [id, group] : scheduler.groups()) {
    for (const Sequence& sequence : group.sequences) {
      const bool runs = sequence.kv.hot.has_value();
      running += runs ? 1 : 0;
      waiting += !runs && !sequence.finished ? 1 : 0;
      findings_.Require(runs || sequence.kv.stored.empty(), "waits or is done, and holds blocks");
      findings_.Require(!runs || !sequence.finished, "is done, and holds a hot slot");
      findings_.Require(runs || sequence.finished || sequence.num_computed == sequence.num_pinned(),
                        "waits, and has computed something");
      findings_.Require(!runs || sequence.num_uncomputed() >= 1, "runs with nothing to compute");
    }
  }
  findings_.Require(running == scheduler.num_running(), "number of running sequences");
  findings_.Require(waiting == scheduler.num_waiting(), "number of waiting sequences");
}

void OrderRules::Count(const Scheduler& scheduler, const StepPlan& plan, RarePathCounts& counts) {
  const std::vector<View> views = Views(scheduler, plan);
  CountScores(views, counts);
  for (const View& view : views) {
    const Sequence& sequence = *view.sequence;
    const bool hits = sequence.num_computed > sequence.num_pinned();
    if (view.admitted() && sequence.kv.reserved) ++counts[RarePath::kReservedAdmission];
    if (view.admitted() && sequence.choice > 0 && hits) ++counts[RarePath::kChoiceSharesBlocks];
    const int32_t from = sequence.num_computed - sequence.num_pinned();
    const int32_t to = view.end() - sequence.num_pinned();
    if (to == from || to / kPageTokens == from / kPageTokens) continue;
    ++counts[to % kPageTokens == 0 ? RarePath::kPromotionAtEdge : RarePath::kPromotionInChunk];
  }
}

void OrderRules::CountScores(std::span<const View> views, RarePathCounts& counts) const {
  int32_t rows = 0, scored = 0, prompts = 0;
  for (const View& view : views) {
    rows += view.num_rows;
    scored += view.num_scored;
    prompts += view.num_scored > 0 ? 1 : 0;
  }
  if (prompts > 1) ++counts[RarePath::kScoringSharesStep];
  for (const View& view : views) {
    const Sequence& sequence = *view.sequence;
    const bool hits = sequence.num_computed > sequence.num_pinned();
    if (!view.appends && sequence.num_scored == 0) ++counts[RarePath::kScoresBelowC];
    if (view.preempted() && IsBeingScored(sequence)) ++counts[RarePath::kScoringPreempted];
    const bool may_not = scored == options_.max_scored_rows && rows < options_.max_tokens_per_step;
    if (view.running() && view.num_rows == 0 && OwesScores(sequence) && may_not) {
      ++counts[RarePath::kScoringWaits];
    }
    if (view.admitted() && hits && NumScores(sequence) > 0) ++counts[RarePath::kScoredHits];
  }
}

}  // namespace intactkv::sim
