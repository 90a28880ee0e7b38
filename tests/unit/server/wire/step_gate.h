// Holds the engine between two steps, so that a test knows what else is running while it does
// something.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/sched/executor.h"
#include "tests/support/forwarding_executor.h"

namespace intactkv::test {

// Open at first. Thread-safe.
class StepGate {
 public:
  // `steps` more steps pass; the next one waits for Open.
  void CloseAfter(int64_t steps);
  void Open();
  // Until a step waits at the gate.
  void AwaitHeld();
  // Called before each step.
  void Pass();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t steps_left_ = -1;  // negative: open
  bool held_ = false;
};

// Passes the gate before each step of another executor.
class GatedExecutor : public ForwardingExecutor {
 public:
  GatedExecutor(std::unique_ptr<Executor> inner, std::shared_ptr<StepGate> gate)
      : ForwardingExecutor(std::move(inner)), gate_(std::move(gate)) {}
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override {
    gate_->Pass();
    return inner().Execute(plan);
  }

 private:
  std::shared_ptr<StepGate> gate_;
};

}  // namespace intactkv::test
