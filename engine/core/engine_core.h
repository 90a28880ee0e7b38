// The engine: one loop thread that owns scheduler, pins and executor, and the queue that leads to
// it. Implements engine/api.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "engine/base/bounded_queue.h"
#include "engine/base/mutex.h"
#include "engine/core/engine_options.h"
#include "engine/core/live_request.h"
#include "engine/core/pin_store.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/kvcache/kv_ledger.h"
#include "engine/sched/scheduler.h"

namespace intactkv {

// Life: construct; Pin() what is to be pinned; MarkReady(); Start(); serve; Drain(); Stop(). The
// engine thread is the loop thread between Start() and Stop(); otherwise it is the one thread that
// calls Step(), and a blocking call (Pin, Unpin, ReplaceModel, Audit, Drain) steps until it is
// answered. Stop() (also by the destructor) ends what still runs with kUnavailable; afterwards
// every call answers kUnavailable.
//
// One Step(): take commands, drop what was cancelled or is late, exchange the model if that is due,
// schedule, execute, tell the sinks. The engine never waits for a client.
class EngineCore : public Engine {
 public:
  EngineCore(const EngineCoreOptions& options, EngineCoreParts parts);
  ~EngineCore() override;

  // Starts the loop thread. At most once.
  void Start();
  // Ends the loop thread, if any, and everything that lives. Idempotent. Not on the loop thread.
  void Stop();
  // By hand, without Start(). True if something was done or is left to do.
  bool Step();
  // Ends the time of free pinning: from now on Pin needs runtime_pins. Releases the full-precision
  // weights. Blocks like Pin().
  void MarkReady();

  absl::StatusOr<RequestHandle> Submit(GenerationRequest request,
                                       std::unique_ptr<TokenSink> sink) override;
  absl::Status CheckAdmission() override;
  absl::StatusOr<PrefixInfo> Pin(PinRequest request) override;
  absl::Status Unpin(PrefixId id) override;
  std::vector<PrefixInfo> ListPrefixes() const override;
  absl::Status ReplaceModel(std::unique_ptr<Executor> executor,
                            std::vector<PinRequest> pins) override;
  EngineStats Stats() const override;
  absl::StatusOr<AuditReport> Audit() override;
  void Drain(absl::Time deadline) override;

  // The blocking calls without the wait, for those who step by hand between question and answer.
  // `done` is called on the engine thread, exactly once; must not call back into the Engine.
  // Errors of the queue itself (kResourceExhausted, kUnavailable) come as `done` on this thread.
  void PinAsync(PinRequest request, std::function<void(absl::StatusOr<PrefixInfo>)> done);
  void UnpinAsync(PrefixId id, std::function<void(absl::Status)> done);
  // Besides ReplaceModel's errors: kInvalidArgument pins (nothing has changed); kFailedPrecondition
  // a replacement is already under way. If a pin cannot be built, the new model serves without it
  // and the error is returned.
  void ReplaceModelAsync(std::unique_ptr<Executor> executor, std::vector<PinRequest> pins,
                         std::function<void(absl::Status)> done);
  // Refuses new requests at once; `done` when nothing is left, at the latest one step after
  // `deadline`.
  void DrainAsync(absl::Time deadline, std::function<void()> done);

  // Weights served now; 0 at first, + 1 per ReplaceModel. Thread-safe.
  uint64_t epoch() const { return epoch_.load(); }
  // Ownership recomputed from scratch. Engine thread only, between two steps.
  AuditReport AuditNow() const;
  const SchedulerCounters& scheduler_counters() const { return scheduler_.counters(); }
  // For audits and tests. Engine thread only, between two steps or inside Execute().
  const Scheduler& scheduler() const { return scheduler_; }
  const KvLedger& ledger() const { return ledger_; }

 private:
  struct SubmitCommand {
    GenerationRequest request;
    std::unique_ptr<TokenSink> sink;
    std::shared_ptr<RequestControl> control;
    absl::Time submitted;
  };
  using ControlCommand = std::function<void()>;  // runs between two steps
  using Command = std::variant<SubmitCommand, ControlCommand>;
  struct Replacement {
    std::unique_ptr<Executor> executor;
    std::vector<PinRequest> pins;
    std::function<void(absl::Status)> done;
  };

  // engine_core.cc: any thread
  absl::Status Validate(const GenerationRequest& request) const;
  absl::Status CheckDoor() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(door_);
  absl::Status PushSubmit(SubmitCommand command);
  absl::Status PushControl(ControlCommand command);
  void Await(const Notification& done);
  // Runs `work` on the engine thread and waits for its result.
  template <typename Result>
  Result RunAndWait(std::function<Result()> work);

  // engine_step.cc: engine thread
  void Loop();
  bool TakeCommands();
  void TakeSubmit(SubmitCommand command);
  absl::Status Enqueue(RequestId id, GenerationRequest request);
  absl::StatusOr<BlockHash> MatchAndAnchor(const GenerationRequest& request, PinnedMatch& pinned);
  bool DropCancelled();
  bool DropExpired();
  void DropAll(const absl::Status& status);
  bool RunStep();
  // The step of `plan` could not be computed: says why and ends the requests in it.
  void FailStep(const StepPlan& plan, const std::string& message);
  void NoteAdmissions();
  void Deliver(std::vector<RequestUpdate> updates);
  void NoteTokens(LiveRequest& live, const std::vector<TokenEvent>& events);
  // Takes the request out of the scheduler and finishes it.
  void Fail(RequestId id, const absl::Status& status);
  void Finish(RequestId id, const absl::Status& status, const RequestProgress& progress);
  void LogFinish(RequestId id, const LiveRequest& live, const FinishInfo& info,
                 FinishReason reason) const;
  void CheckDrained();
  void PublishStats();

  // engine_audit.cc: engine thread
  std::array<PageCounts, kNumPageClasses> CountPages() const;
  void CheckLedger(AuditReport& report) const;
  AuditReport AuditAndNote();     // for the gauge, and a log line if there is a problem
  AuditReport AuditWithLedger();  // the same with totals and the last records

  // engine_replace.cc: engine thread
  absl::StatusOr<PrefixInfo> PinNow(const PinRequest& request);
  void StartReplacement(Replacement replacement);
  bool AdvanceReplacement();
  absl::Status PinAll(const std::vector<PinRequest>& pins);
  void RematchWaiting();

  const EngineCoreOptions options_;
  const Clock& clock_;
  const uint64_t cache_nonce_;

  // Shared between threads.
  BoundedQueue<Command> commands_;
  const std::shared_ptr<CancelSignal> cancel_signal_ = std::make_shared<CancelSignal>();
  std::atomic<int32_t> num_queued_{0};  // requests accepted and not yet admitted
  std::atomic<int32_t> vocab_size_;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<int64_t> last_turn_unix_nanos_{0};  // of the loop
  std::atomic<int64_t> num_rejected_{0}, num_accepted_{0};
  std::atomic<bool> loop_running_{false}, stop_loop_{false};
  mutable Mutex door_;  // orders pushes against draining and stopping
  bool stopped_ ABSL_GUARDED_BY(door_) = false;
  bool draining_ ABSL_GUARDED_BY(door_) = false;
  absl::Time drain_deadline_ ABSL_GUARDED_BY(door_) = absl::InfiniteFuture();
  std::vector<std::function<void()>> drain_waiters_ ABSL_GUARDED_BY(door_);
  mutable Mutex stats_mutex_;
  EngineStats published_ ABSL_GUARDED_BY(stats_mutex_);
  std::vector<PrefixInfo> published_prefixes_ ABSL_GUARDED_BY(stats_mutex_);
  std::optional<uint64_t> published_version_ ABSL_GUARDED_BY(stats_mutex_);  // of the prefixes
  std::thread loop_;

  // Engine thread only. Pools come before what holds their blocks, the ledger before the pools.
  KvLedger ledger_;
  PinStore pins_;
  BlockPool stored_pool_;
  BlockPool hot_pool_;
  KvCacheManager manager_;
  Scheduler scheduler_;
  std::unique_ptr<Executor> executor_;
  std::map<RequestId, LiveRequest> live_;
  std::optional<Replacement> replacement_;
  EngineStats stats_;
  int64_t step_ = 0;
  uint64_t next_request_id_ = 0;
  bool ready_ = false;
};

}  // namespace intactkv
