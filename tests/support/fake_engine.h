// An Engine without a model: one thread that gives each running request one token per choice and
// step, from a script. Tests say what it answers, hold it between steps, and wait for what it saw.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "engine/api/engine.h"
#include "engine/base/mutex.h"

namespace intactkv {

// Thread-safe. Must outlive what was submitted to it; destroying it finishes every request.
class FakeEngine : public Engine {
 public:
  // The token of choice `choice` at output index `index`.
  using Script = std::function<TokenId(const GenerationRequest& request, int choice, int index)>;

  FakeEngine();  // answers "Hello, world!" and an end id
  ~FakeEngine() override;

  // For requests submitted from now on.
  void SetScript(Script script);
  // `text` as bytes (see FakeTextCodec), then kFakeEnd, for every choice.
  void SetAnswer(std::string_view text);
  // Submit fails with `status`; OK turns it off.
  void SetSubmitStatus(absl::Status status);
  // Every request ends with `status` after `num_tokens` of its tokens; OK turns it off.
  void SetFailure(absl::Status status, int num_tokens);
  // What usage reports.
  void SetCached(int32_t cached_tokens, int32_t pinned_tokens);

  // What Stats reports.
  void SetStepAge(absl::Duration age);

  // At most this many more steps are made until the next call; negative: no bound.
  void AllowSteps(int64_t steps);

  // Each waits until it is so; a test that waits in vain fails by its time limit.
  void WaitForSubmitted(int64_t count);
  void WaitForCancelled(int64_t count);  // requests that ended because somebody cancelled
  void WaitForIdle();                    // nothing runs
  int64_t num_running() const;
  int64_t num_cancelled() const;
  int64_t num_tokens() const;
  std::vector<GenerationRequest> submitted() const;

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

 private:
  struct Running;
  void Loop();
  // One step of `request`; true when it has ended.
  bool Step(Running& request);
  TokenEvent MakeToken(Running& request, int choice);
  void Finish(Running& request, absl::Status status);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;  // anything below but the script
  Script script_ ABSL_GUARDED_BY(mutex_);
  absl::Status submit_status_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  int failure_after_ ABSL_GUARDED_BY(mutex_) = 0;
  int32_t cached_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  int32_t pinned_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t steps_left_ ABSL_GUARDED_BY(mutex_) = -1;
  std::vector<std::shared_ptr<Running>> running_ ABSL_GUARDED_BY(mutex_);
  std::vector<GenerationRequest> submitted_ ABSL_GUARDED_BY(mutex_);
  EngineStats stats_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace intactkv
