// The rules of engine/sched/scheduler.h on order and progress, checked from outside: FCFS, oldest
// first, who is preempted, who is admitted, how far each sequence gets.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/core/engine_core.h"
#include "tests/sim/findings.h"
#include "tests/sim/rare_paths.h"

namespace intactkv::sim {

class OrderRules {
 public:
  OrderRules(const EngineCoreOptions& options, Findings& findings)
      : options_(options), findings_(findings) {}

  // Notes the state before a step.
  void Begin(const Scheduler& scheduler);
  // Inside Execute(): the plan against the state before. `paused`: a model exchange is under way.
  void CheckPlan(const Scheduler& scheduler, const StepPlan& plan, bool paused);
  // After the step.
  void CheckRest(const Scheduler& scheduler);
  void Count(const Scheduler& scheduler, const StepPlan& plan, RarePathCounts& counts);

 private:
  struct Before {
    bool request_admitted = false, running = false, reserved = false;
    int32_t num_preemptions = 0;
  };
  struct View {  // of one unfinished sequence, inside Execute()
    const Sequence* sequence = nullptr;
    Before before = {};
    int32_t num_rows = 0;    // planned
    bool appends = true;     // they write KV; else they lie below c
    int32_t num_scored = 0;  // of them
    bool running() const { return sequence->kv.hot.has_value(); }
    bool admitted() const { return running() && !before.running; }
    bool preempted() const { return sequence->num_preemptions > before.num_preemptions; }
    // Tokens computed after the step.
    int32_t end() const { return sequence->num_computed + (appends ? num_rows : 0); }
  };

  std::vector<View> Views(const Scheduler& scheduler, const StepPlan& plan) const;
  void CheckPreemptions(const std::vector<View>& views);
  void CheckAdmissions(const std::vector<View>& views, bool paused);
  void CheckBudget(const Scheduler& scheduler, const std::vector<View>& views);
  void CheckLess(const Scheduler& scheduler, const View& view);
  void CheckRows(const std::vector<View>& views, const StepPlan& plan);
  void CheckRoom(const Scheduler& scheduler, const std::vector<View>& views);
  bool WaitsForFirst(const Sequence& sequence) const;
  void CountScores(std::span<const View> views, RarePathCounts& counts) const;
  void CheckNobodyWaitsInVain(const Scheduler& scheduler, const std::vector<View>& views,
                              bool paused);

  const EngineCoreOptions& options_;
  Findings& findings_;
  std::map<uint64_t, Before> before_;  // by sequence
};

}  // namespace intactkv::sim
