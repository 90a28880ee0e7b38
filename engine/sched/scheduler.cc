#include "engine/sched/scheduler.h"

#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"
#include "engine/sched/plan_builder.h"

namespace intactkv {
namespace {

// A sequence that lost its work so often comes back only when it cannot lose it again.
constexpr int32_t kMaxPreemptions = 2;

PinnedMatch ShareMatch(const PinnedMatch& match) {
  PinnedMatch shared;
  shared.prefix = match.prefix;
  shared.num_tokens = match.num_tokens;
  for (const BlockRef& ref : match.blocks) shared.blocks.push_back(ref.Share());
  return shared;
}

absl::Status CheckCanEverFit(const KvCacheManager& manager, const Sequence& sequence) {
  const int32_t blocks = sequence.WorstCaseBlocks();
  if (manager.CanEverFit(int64_t{blocks} * kPageTokens)) return absl::OkStatus();
  return InvalidArgument("prompt and max_new_tokens need " + std::to_string(blocks) +
                         " KV blocks beside the pinned prefix; the pool has " +
                         std::to_string(manager.stored_pool().num_blocks()));
}

}  // namespace

Scheduler::Scheduler(const Options& options, KvCacheManager& manager)
    : options_(options), manager_(manager) {
  CHECK_GE(options_.max_running, 1);
  CHECK_GE(options_.max_tokens_per_step, 1);
  CHECK_GE(options_.max_scored_rows, 1);
}

Scheduler::~Scheduler() = default;

absl::Status Scheduler::Add(NewRequest new_request) {
  CHECK(in_flight_.empty()) << "Add during a step";
  RequestGroup group;
  group.id = new_request.id;
  group.request = std::move(new_request.request);
  group.build_prefix = new_request.build_prefix;
  group.num_unfinished = group.request.n;
  group.progress.usage.prompt_tokens = static_cast<int32_t>(group.request.prompt.size());
  group.progress.usage.pinned_tokens = new_request.pinned.num_tokens;
  CHECK_GE(group.request.n, 1);
  CHECK_LT(static_cast<size_t>(new_request.pinned.num_tokens),
           group.request.prompt.size() + (group.build_prefix ? 1 : 0));
  const auto [it, inserted] = groups_.try_emplace(group.id, std::move(group));
  CHECK(inserted) << "request id " << new_request.id.value << " is taken";
  RequestGroup& owned = it->second;
  for (int32_t choice = 0; choice < owned.request.n; ++choice) {
    Sequence& sequence = owned.sequences.emplace_back();
    sequence.group = &owned;
    sequence.choice = choice;
    sequence.kv.pinned = ShareMatch(new_request.pinned);
    sequence.kv.anchor = new_request.anchor;
    sequence.num_computed = sequence.num_pinned();
  }
  absl::Status fits = CheckCanEverFit(manager_, owned.sequences.front());
  if (!fits.ok()) {
    groups_.erase(it);
    return fits;
  }
  for (Sequence& sequence : owned.sequences) {
    sequence.id = SequenceId(next_sequence_id_++);
    sequence.kv.owner = sequence.id;
    waiting_.emplace(sequence.id, &sequence);
  }
  if (owned.request.deadline != absl::InfiniteFuture()) {
    deadlines_.emplace(owned.request.deadline, owned.id);
  }
  return absl::OkStatus();
}

std::optional<RequestProgress> Scheduler::Remove(RequestId id) {
  CHECK(in_flight_.empty()) << "Remove during a step";
  const auto it = groups_.find(id);
  if (it == groups_.end()) return std::nullopt;
  return RemoveGroup(it);
}

RequestProgress Scheduler::RemoveGroup(Groups::iterator it) {
  RequestGroup& group = it->second;
  for (Sequence& sequence : group.sequences) ReleaseSequence(sequence);
  deadlines_.erase({group.request.deadline, group.id});
  RequestProgress progress = group.progress;
  groups_.erase(it);
  return progress;
}

void Scheduler::ReleaseSequence(Sequence& sequence) {
  sequence.finished = true;
  waiting_.erase(sequence.id);
  std::erase(running_, &sequence);
  manager_.Release(sequence.kv);
}

std::vector<RequestId> Scheduler::Expired(absl::Time now) const {
  std::vector<RequestId> ids;
  for (const auto& [deadline, id] : deadlines_) {
    if (deadline > now) break;
    ids.push_back(id);
  }
  return ids;
}

StepPlan Scheduler::Schedule(int64_t step) {
  CHECK(in_flight_.empty()) << "Schedule before the last step's UpdateFromOutput";
  manager_.SetStep(step);
  newly_admitted_.clear();
  StepPlan plan;
  StepBudget budget{options_.max_tokens_per_step, options_.max_scored_rows};
  const int64_t preemptions = counters_.preemptions;
  ScheduleRunning(plan, budget);
  // Who was just preempted must not come back in the same step for the blocks it gave up.
  if (counters_.preemptions == preemptions) AdmitWaiting(plan, budget);
  return plan;
}

void Scheduler::ScheduleRunning(StepPlan& plan, StepBudget& budget) {
  for (size_t i = 0; i < running_.size() && budget.rows > 0; ++i) {  // oldest first
    Sequence& sequence = *running_[i];
    const int32_t wanted = sequence.NextRows(budget.rows, budget.scored_rows);
    if (wanted == 0) continue;  // older prompts took all rows that may be scored
    const int32_t n = sequence.scores_pinned() ? wanted : MakeRoom(i, wanted);
    if (n == 0) {
      ++counters_.stalls;
      continue;
    }
    Plan(sequence, n, plan, budget);
  }
}

int32_t Scheduler::MakeRoom(size_t index, int32_t wanted) {
  Sequence& sequence = *running_[index];
  const int32_t blocks = sequence.PrivateBlocksFor(sequence.num_computed + wanted);
  while (!manager_.TryGrow(sequence.kv, blocks)) {
    if (PreemptYoungestAfter(index)) continue;
    // Nobody left: take what there is; the rest of the chunk waits.
    const int32_t reachable =
        static_cast<int32_t>(sequence.kv.stored.size()) + manager_.num_available();
    CHECK(manager_.TryGrow(sequence.kv, reachable));
    const int32_t computed = sequence.num_computed - sequence.num_pinned();
    return std::min(wanted, reachable * kPageTokens - computed);
  }
  return wanted;
}

bool Scheduler::PreemptYoungestAfter(size_t index) {
  for (size_t i = running_.size() - 1; i > index; --i) {
    Sequence& victim = *running_[i];
    if (victim.kv.reserved) continue;
    ++counters_.preemptions;
    ++victim.num_preemptions;
    ++victim.group->progress.num_preemptions;
    manager_.stored_pool().Record({.event = LedgerEvent::kPreempt,
                                   .count = static_cast<int32_t>(victim.kv.stored.size()),
                                   .subject = victim.id.value});
    manager_.Release(victim.kv);
    victim.num_computed = victim.num_pinned();
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    waiting_.emplace(victim.id, &victim);
    return true;
  }
  return false;
}

void Scheduler::AdmitWaiting(StepPlan& plan, StepBudget& budget) {
  while (budget.rows > 0 && !waiting_.empty() && num_running() < options_.max_running) {
    Sequence& sequence = *waiting_.begin()->second;
    // Strict FCFS: a small request never overtakes a large one.
    if (!MayBeAdmitted(sequence) || !TryAdmit(sequence)) return;
    const int32_t n = sequence.NextRows(budget.rows, budget.scored_rows);
    if (n == 0) continue;  // it runs from the next step on
    const int32_t end = sequence.num_computed + (sequence.scores_pinned() ? 0 : n);
    CHECK(manager_.TryGrow(sequence.kv, sequence.PrivateBlocksFor(end)));
    Plan(sequence, n, plan, budget);
  }
}

bool Scheduler::MayBeAdmitted(const Sequence& sequence) const {
  const RequestGroup& group = *sequence.group;
  if (admission_paused_ && !group.admitted) return false;
  if (!options_.share_prefill || sequence.choice == 0) return true;
  const bool shares_blocks = (sequence.num_tokens() - 1 - sequence.num_pinned()) >= kPageTokens;
  return !shares_blocks || group.sequences.front().num_generated() > 0;
}

bool Scheduler::TryAdmit(Sequence& sequence) {
  KvCacheManager::Admission admission{.private_tokens = sequence.private_tokens(),
                                      .pending_blocks = PendingBlocks(),
                                      .may_hit = sequence.num_scored >= sequence.num_to_score()};
  if (sequence.num_preemptions >= kMaxPreemptions) {
    admission.reserve_blocks = sequence.WorstCaseBlocks();
  }
  const std::optional<int32_t> hits = manager_.TryAdmit(sequence.kv, admission);
  if (!hits) return false;
  if (sequence.tokens.empty()) sequence.tokens = sequence.group->request.prompt;
  if (sequence.kv.reserved) ++counters_.reserved_admissions;
  if (admission.may_hit) {
    counters_.prefix_queries_tokens += sequence.num_tokens() - sequence.num_pinned();
  }
  counters_.prefix_hit_tokens += *hits * kPageTokens;
  sequence.num_computed = sequence.num_pinned() + *hits * kPageTokens;
  if (!sequence.group->admitted) {
    sequence.group->admitted = true;
    sequence.group->progress.usage.cached_tokens = sequence.num_computed;
    newly_admitted_.push_back(sequence.group->id);
  }
  waiting_.erase(sequence.id);
  InsertRunning(sequence);
  return true;
}

void Scheduler::InsertRunning(Sequence& sequence) {
  const auto at = std::ranges::upper_bound(running_, sequence.id, {}, &Sequence::id);
  running_.insert(at, &sequence);
}

int32_t Scheduler::PendingBlocks() const {
  int32_t pending = 0;
  for (const Sequence* sequence : running_) {
    const int32_t known = sequence->PrivateBlocksFor(sequence->num_tokens());
    pending += std::max(0, known - static_cast<int32_t>(sequence->kv.stored.size()));
  }
  return pending;
}

void Scheduler::Plan(Sequence& sequence, int32_t num_rows, StepPlan& plan, StepBudget& budget) {
  budget.rows -= num_rows;
  budget.scored_rows -= sequence.scores_pinned() ? AppendPinnedRows(sequence, num_rows, plan)
                                                 : AppendChunk(sequence, num_rows, plan);
  in_flight_.push_back(&sequence);
}

TokenEvent Scheduler::AppendToken(Sequence& sequence, const SampledToken& token) {
  const GenerationRequest& request = sequence.group->request;
  sequence.tokens.push_back(token.token);
  ++sequence.group->progress.usage.completion_tokens;
  TokenEvent event{.choice = sequence.choice, .token = token};
  const auto& stops = request.stop_token_ids;
  if (!request.ignore_eos && std::ranges::find(stops, token.token) != stops.end()) {
    event.finish = FinishReason::kStop;
  } else if (sequence.num_generated() >= request.max_new_tokens) {
    event.finish = FinishReason::kLength;
  }
  if (sequence.choice == 0) sequence.group->progress.finish = event.finish;
  return event;
}

std::vector<RequestUpdate> Scheduler::UpdateFromOutput(const StepPlan& plan,
                                                       const StepResult& result) {
  CHECK_EQ(plan.sequences.size(), in_flight_.size());
  CHECK_EQ(result.sequences.size(), in_flight_.size());
  CHECK_EQ(result.tokens.size(), plan.samples.size());
  counters_.computed_tokens += static_cast<int64_t>(plan.rows.size());
  RecordPromotions(plan);
  const std::vector<Sequence*> in_flight = std::exchange(in_flight_, {});
  std::map<RequestId, RequestUpdate> updates;  // by age
  size_t next_token = 0;
  for (size_t i = 0; i < in_flight.size(); ++i) {
    const PlanSequence& planned = plan.sequences[i];
    const size_t num_tokens = NumLogitsRows(plan, planned);
    counters_.clamped_values += result.sequences[i].num_clamped;
    RequestUpdate& update = updates[in_flight[i]->group->id];
    if (result.sequences[i].non_finite) {
      update.non_finite = true;  // nothing of it is published, its token is not one
    } else {
      Advance(*in_flight[i], planned, std::span(result.tokens).subspan(next_token, num_tokens),
              update);
    }
    next_token += num_tokens;
  }
  return CloseUpdates(updates);
}

void Scheduler::RecordPromotions(const StepPlan& plan) const {
  for (const PlanPromotion& promotion : plan.promotions) {
    const PlanSequence& sequence = plan.sequences[static_cast<size_t>(promotion.sequence)];
    const auto entry =
        plan.stored_entries[static_cast<size_t>(sequence.stored_begin + promotion.block)];
    manager_.stored_pool().Record(
        {.event = LedgerEvent::kPromote, .block = entry.slot(), .subject = sequence.id.value});
  }
}

void Scheduler::Advance(Sequence& sequence, const PlanSequence& planned,
                        std::span<const SampledToken> tokens, RequestUpdate& update) {
  const auto unscored =
      static_cast<size_t>(std::max(0, sequence.num_to_score() - sequence.num_scored));
  const auto scored = tokens.first(std::min(tokens.size(), unscored));  // in front of the sample
  for (const SampledToken& token : scored) {
    update.events.push_back({.choice = sequence.choice, .of_prompt = true, .token = token});
  }
  sequence.num_scored += static_cast<int32_t>(scored.size());
  if (!planned.append) return;
  sequence.num_computed += planned.num_rows;
  manager_.Publish(sequence.kv, sequence.private_tokens(),
                   sequence.num_computed - sequence.num_pinned());
  if (tokens.size() > scored.size()) {
    update.events.push_back(AppendToken(sequence, tokens.back()));
    if (update.events.back().finish == FinishReason::kNone) return;
    ReleaseSequence(sequence);
    --sequence.group->num_unfinished;
  } else if (sequence.group->build_prefix && sequence.num_uncomputed() == 0) {
    --sequence.group->num_unfinished;  // keeps its blocks: they are what was built
  }
}

std::vector<RequestUpdate> Scheduler::CloseUpdates(std::map<RequestId, RequestUpdate>& updates) {
  std::vector<RequestUpdate> closed;
  for (auto& [id, update] : updates) {
    const auto it = groups_.find(id);
    update.id = id;
    update.done = update.non_finite || it->second.num_unfinished == 0;
    if (update.non_finite) {
      // Tokens that other choices got in this step are not delivered, so they are not used either.
      it->second.progress.usage.completion_tokens -= static_cast<int32_t>(std::ranges::count_if(
          update.events, [](const TokenEvent& event) { return !event.of_prompt; }));
      update.events.clear();
    }
    if (update.events.empty() && !update.done) continue;
    update.progress = it->second.progress;
    if (update.done && !it->second.build_prefix) RemoveGroup(it);
    closed.push_back(std::move(update));
  }
  return closed;
}

BlockTable Scheduler::TakeBuiltBlocks(RequestId id) {
  const auto it = groups_.find(id);
  CHECK(it != groups_.end() && it->second.build_prefix && it->second.num_unfinished == 0)
      << "request " << id.value << " is no finished prefix build";
  BlockTable blocks = std::exchange(it->second.sequences.front().kv.stored, {});
  RemoveGroup(it);
  return blocks;
}

std::vector<RequestId> Scheduler::AbandonStep() {
  std::set<RequestId> ids;
  for (const Sequence* sequence : in_flight_) ids.insert(sequence->group->id);
  in_flight_.clear();
  return {ids.begin(), ids.end()};
}

bool Scheduler::HasAdmittedWork() const {
  return std::ranges::any_of(groups_, [](const auto& item) { return item.second.admitted; });
}

std::vector<RequestId> Scheduler::NeverAdmitted() const {
  std::vector<RequestId> ids;
  for (const auto& [id, group] : groups_) {
    if (!group.admitted) ids.push_back(id);
  }
  return ids;
}

absl::Status Scheduler::Rematch(RequestId id, const PinnedMatch& pinned, const BlockHash& anchor) {
  const auto it = groups_.find(id);
  CHECK(it != groups_.end() && !it->second.admitted) << "request " << id.value;
  RequestGroup& group = it->second;
  group.progress.usage.pinned_tokens = pinned.num_tokens;
  for (Sequence& sequence : group.sequences) {
    sequence.kv.pinned = ShareMatch(pinned);
    sequence.kv.anchor = anchor;
    sequence.kv.hashes.clear();
    sequence.num_computed = sequence.num_pinned();
  }
  return CheckCanEverFit(manager_, group.sequences.front());
}

const RequestGroup* Scheduler::Find(RequestId id) const {
  const auto it = groups_.find(id);
  return it == groups_.end() ? nullptr : &it->second;
}

std::optional<RequestId> Scheduler::Oldest() const {
  if (groups_.empty()) return std::nullopt;
  return groups_.begin()->first;
}

void Scheduler::ClaimBlocks(const Audits& audits) const {
  for (const auto& [id, group] : groups_) {
    for (const Sequence& sequence : group.sequences) {
      audits.pinned.Claim(BlockOwner::kSequence, sequence.kv.pinned.blocks);
      audits.stored.Claim(BlockOwner::kSequence, sequence.kv.stored);
      if (sequence.kv.hot) audits.hot.Claim(BlockOwner::kSequence, sequence.kv.hot->id());
    }
  }
}

}  // namespace intactkv
