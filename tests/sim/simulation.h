// The production engine in one thread under one seed: a scenario's events in virtual time, every
// token, page, count and order checked as it goes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/core/clock.h"
#include "engine/core/engine_core.h"
#include "tests/sim/findings.h"
#include "tests/sim/order_rules.h"
#include "tests/sim/page_mirror.h"
#include "tests/sim/prefix_model.h"
#include "tests/sim/rare_paths.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim_executor.h"
#include "tests/sim/sim_request.h"

namespace intactkv::sim {

struct Outcome {
  std::string problem;  // empty: all is well
  std::string recent;   // the ledger's last records, if there is a problem
  RarePathCounts counts;
  int64_t num_requests = 0, num_steps = 0, num_tokens = 0;
};

class Simulation : public ExecuteObserver {
 public:
  explicit Simulation(Scenario scenario);
  // Once.
  Outcome Run();

  void BeforeBuild(HashExecutor& executor) override;
  void BeforeExecute(const StepPlan& plan, HashExecutor& executor) override;
  void AfterExecute(const StepPlan& plan, bool ok) override;

 private:
  // What was pushed into the engine's queue, in order, and what came of it.
  struct SubmitCommand {
    SimRequest* request;
  };
  struct PinCommand {
    PinRequest pin;
    std::optional<absl::StatusOr<PrefixInfo>> result;
  };
  struct UnpinCommand {
    PrefixId id{0};
    std::optional<absl::Status> result;
  };
  struct ReplaceCommand {
    ReplaceEvent event;
    std::optional<absl::Status> result;
  };
  using Command = std::variant<SubmitCommand, PinCommand, UnpinCommand, ReplaceCommand>;

  // simulation.cc
  std::unique_ptr<Executor> MakeExecutor(uint64_t epoch, int32_t vocab_size);
  absl::StatusOr<std::unique_ptr<Executor>> MakeBuilder();
  bool Step();
  void GetReady();
  void Finish();
  bool AllFinished() const;
  std::string RecentRecords() const;

  // simulation_events.cc
  void ApplyDueEvents();
  void Apply(const SubmitEvent& event);
  const SimRequest* FollowedBy(const SubmitEvent& event) const;
  void Apply(const PinEvent& event);
  void Apply(const UnpinEvent& event);
  void Apply(const ReplaceEvent& event);
  void Apply(const FaultEvent& event);
  void Apply(const DrainEvent& event);
  void ReadSlowly();
  void AbortWhere();
  void AbortMidStep(const StepPlan& plan);
  void InjectStepFault(const StepPlan& plan, HashExecutor& executor);
  void CheckRefusal(const absl::Status& status, const GenerationRequest& request);
  bool IsIn(AbortState state, const SimRequest& request) const;
  void Cancel(SimRequest& request);
  void OnTokens(SimRequest& request);

  // simulation_model.cc: what must hold, brought up to date with what was commanded
  void SyncCommands(size_t end);
  void Sync(SubmitCommand& command);
  void Sync(PinCommand& command);
  void Sync(UnpinCommand& command);
  void Sync(ReplaceCommand& command);
  void OnReplaced(size_t command, absl::Status status);
  void ApplyReplacement(const ReplaceEvent& event, const absl::Status& status);
  void MatchAgain(SimRequest& request);
  void NoteAdmissions();
  bool IsValid(const PinRequest& pin, int32_t vocab_size) const;
  bool AnyAdmittedLives() const;
  std::string ShareKey(uint64_t sequence) const;
  std::vector<ModelMatch> Users() const;

  // simulation_checks.cc
  void CheckAfterStep();
  void CheckFinished();
  void CountEnd(const SimRequest& request);
  void CheckNothingOverdue();
  void CheckScoresTold();
  void CheckStats();
  void CheckPages();
  void CheckPins();
  void CheckProgress(bool had_work);
  void CheckHistograms();
  void CheckAlone();
  void CheckLiveness(const std::vector<int64_t>& solo_steps);

  const Scenario scenario_;
  Findings findings_;
  RarePathCounts counts_;
  ManualClock clock_;
  std::vector<std::shared_ptr<HashExecutor>> executors_;  // outlive what the engine drops
  MirrorPages pages_;
  PageMirror mirror_;
  OrderRules rules_;
  PrefixModel pins_;
  std::vector<std::unique_ptr<SimRequest>> requests_;  // accepted ones, by id; outlive the sinks
  std::map<int, SimRequest*> by_event_;
  std::map<std::string, PrefixId> pin_ids_;  // by name
  std::map<uint64_t, SimRequest*> by_sequence_;
  std::vector<Command> commands_;
  size_t synced_ = 0;
  size_t next_event_ = 0;

  HashModel served_;
  bool ready_ = false, replacing_ = false, drained_ = false, stopped_ = false;
  absl::Time drain_deadline_ = absl::InfiniteFuture();
  std::vector<FaultPoint> armed_build_, fired_build_;
  std::optional<FaultEvent> armed_step_;
  absl::Time step_began_;
  int64_t num_non_finite_ = 0, num_rejected_ = 0, num_executed_ = 0, num_rows_ = 0, num_steps_ = 0;
  int64_t rows_in_step_ = 0, finished_in_step_ = 0, idle_steps_ = 0, num_drained_calls_ = 0;
  EngineStats sums_;  // of finished requests, counted here
  std::unique_ptr<EngineCore> engine_;
};

}  // namespace intactkv::sim
