// Decides what each step computes: continuous batching with chunked prefill under a token budget,
// strict FCFS admission, preemption by recomputation.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/kvcache/ownership_audit.h"
#include "engine/sched/executor.h"
#include "engine/sched/sequence.h"

namespace intactkv {

struct NewRequest {
  RequestId id{0};
  GenerationRequest request = {};
  PinnedMatch pinned = {};
  BlockHash anchor{};
  bool build_prefix = false;
};

// What one step did to one request.
struct RequestUpdate {
  RequestId id{0};
  std::vector<TokenEvent> events;
  bool done = false;        // it left the scheduler; `progress` is final
  bool non_finite = false;  // done, failed: no event of this step counts
  RequestProgress progress;
};

// Counters since construction.
struct SchedulerCounters {
  int64_t preemptions = 0;
  int64_t reserved_admissions = 0;  // after two preemptions, with the whole worst case
  int64_t stalls = 0;               // a running sequence found no block and nobody to preempt
  int64_t computed_tokens = 0;      // rows of executed steps
  int64_t clamped_values = 0;
  int64_t prefix_queries_tokens = 0, prefix_hit_tokens = 0;  // at every admission, pins excluded
};

// Oldest first, everywhere: order is SequenceId alone. A step is Schedule(), Execute(),
// UpdateFromOutput(); between Schedule() and UpdateFromOutput() (or AbandonStep()) nothing else
// may be called. Same calls, same output. Engine thread only.
//
// Preemption: the youngest running sequence that is younger than the one in need gives back its
// blocks and later recomputes its prompt and all its tokens (none is sampled twice); it keeps its
// pin. The oldest is never preempted. A sequence preempted twice comes back only with its whole
// worst case reserved and is then never preempted again. When there is nobody to preempt, the one
// in need keeps what it has and waits for a step.
class Scheduler {
 public:
  struct Options {
    int32_t max_running = 1;           // sequences with a hot slot
    int32_t max_tokens_per_step = 32;  // rows
    int32_t max_scored_rows = 32;      // of them, for the log probabilities of prompts
    // Choices 1..n-1 wait until choice 0 has prefilled, to share its full blocks. Set it if the
    // manager has a prefix cache.
    bool share_prefill = true;
  };
  // `manager` must outlive the scheduler.
  Scheduler(const Options& options, KvCacheManager& manager);
  ~Scheduler();

  // Queues a request as n sequences. kInvalidArgument: its worst case can never fit the pool;
  // nothing has changed then. `request` must be valid (engine/api/engine.h).
  absl::Status Add(NewRequest new_request);
  // Takes a request out, whatever its state; its pages are free when this returns. nullopt if it is
  // not here.
  std::optional<RequestProgress> Remove(RequestId id);
  // Requests whose deadline is <= now, by deadline, then id. They are still here.
  std::vector<RequestId> Expired(absl::Time now) const;

  // Plans the next step; empty if nothing can run. Steps ascend.
  StepPlan Schedule(int64_t step);
  // Requests whose first choice was admitted by the last Schedule(), oldest first.
  const std::vector<RequestId>& newly_admitted() const { return newly_admitted_; }
  // Takes the results of the plan that Schedule() returned last. Reports what got a token or ended,
  // by age. A request that is done has left, its pages too; only a finished prefix build stays
  // until TakeBuiltBlocks() or Remove(). `result` must have the plan's shape.
  std::vector<RequestUpdate> UpdateFromOutput(const StepPlan& plan, const StepResult& result);
  // The blocks of a finished prefix build, which then leaves the scheduler.
  BlockTable TakeBuiltBlocks(RequestId id);
  // The step failed as a whole: forgets it. Returns the requests it held, oldest first, still here
  // and to be removed by the caller, because their pages may be half written.
  std::vector<RequestId> AbandonStep();

  // While paused, requests that were never admitted stay so; preempted sequences and further
  // choices of admitted requests go on.
  void PauseAdmission(bool paused) { admission_paused_ = paused; }
  bool HasAdmittedWork() const;
  // By age.
  std::vector<RequestId> NeverAdmitted() const;
  // For a request that was never admitted: exchanges pin and anchor. kInvalidArgument: it can never
  // fit with this match; the exchange is made all the same, and the caller must remove it.
  absl::Status Rematch(RequestId id, const PinnedMatch& pinned, const BlockHash& anchor);

  const RequestGroup* Find(RequestId id) const;
  // Everything that lives here, by age: for audits and tests, between two steps or inside
  // Execute().
  const std::map<RequestId, RequestGroup>& groups() const { return groups_; }
  std::optional<RequestId> Oldest() const;
  bool has_work() const { return !groups_.empty(); }
  int32_t num_running() const { return static_cast<int32_t>(running_.size()); }
  int32_t num_waiting() const { return static_cast<int32_t>(waiting_.size()); }
  const SchedulerCounters& counters() const { return counters_; }
  const KvCacheManager& manager() const { return manager_; }

  // Claims every block that a sequence holds.
  struct Audits {
    OwnershipAudit& pinned;
    OwnershipAudit& stored;
    OwnershipAudit& hot;
  };
  void ClaimBlocks(const Audits& audits) const;

 private:
  using Groups = std::map<RequestId, RequestGroup>;

  // What the step may still take.
  struct StepBudget {
    int32_t rows, scored_rows;
  };
  void ScheduleRunning(StepPlan& plan, StepBudget& budget);
  void AdmitWaiting(StepPlan& plan, StepBudget& budget);
  // Rows of `running_[index]` that have blocks, at most `wanted`; preempts younger ones for them.
  int32_t MakeRoom(size_t index, int32_t wanted);
  bool PreemptYoungestAfter(size_t index);
  bool MayBeAdmitted(const Sequence& sequence) const;
  bool TryAdmit(Sequence& sequence);
  void InsertRunning(Sequence& sequence);
  int32_t PendingBlocks() const;
  void Plan(Sequence& sequence, int32_t num_rows, StepPlan& plan, StepBudget& budget);
  void ReleaseSequence(Sequence& sequence);
  void RecordPromotions(const StepPlan& plan) const;
  TokenEvent AppendToken(Sequence& sequence, const SampledToken& token);
  // `tokens`: what its rows with logits gave.
  void Advance(Sequence& sequence, const PlanSequence& planned,
               std::span<const SampledToken> tokens, RequestUpdate& update);
  std::vector<RequestUpdate> CloseUpdates(std::map<RequestId, RequestUpdate>& updates);
  RequestProgress RemoveGroup(Groups::iterator it);

  const Options options_;
  KvCacheManager& manager_;
  Groups groups_;
  std::map<SequenceId, Sequence*> waiting_;
  std::vector<Sequence*> running_;                        // ascending id
  std::vector<Sequence*> in_flight_;                      // of the plan, in plan order
  std::set<std::pair<absl::Time, RequestId>> deadlines_;  // finite ones
  std::vector<RequestId> newly_admitted_;
  SchedulerCounters counters_;
  uint64_t next_sequence_id_ = 0;
  bool admission_paused_ = false;
};

}  // namespace intactkv
