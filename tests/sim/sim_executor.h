// A HashExecutor that takes virtual time and asks the simulation what is to go wrong.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/sched/executor.h"
#include "tests/support/forwarding_executor.h"
#include "tests/support/hash_executor.h"

namespace intactkv::sim {

class ExecuteObserver {
 public:
  virtual ~ExecuteObserver() = default;
  virtual void BeforeBuild(HashExecutor& executor) = 0;  // a step of a prefix build
  virtual void BeforeExecute(const StepPlan& plan, HashExecutor& executor) = 0;
  virtual void AfterExecute(const StepPlan& plan, bool ok) = 0;
};

class SimExecutor : public ForwardingExecutor {
 public:
  // `observer` must outlive the executor. Shared: who looks at the hash executor may do so after
  // the engine has dropped this one.
  SimExecutor(std::shared_ptr<HashExecutor> executor, ExecuteObserver& observer, bool builds)
      : ForwardingExecutor(executor),
        executor_(std::move(executor)),
        observer_(observer),
        builds_(builds) {}

  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override {
    if (builds_) {
      observer_.BeforeBuild(*executor_);
      return executor_->Execute(plan);
    }
    observer_.BeforeExecute(plan, *executor_);
    absl::StatusOr<StepResult> result = executor_->Execute(plan);
    observer_.AfterExecute(plan, result.ok());
    return result;
  }

 private:
  const std::shared_ptr<HashExecutor> executor_;
  ExecuteObserver& observer_;
  const bool builds_;
};

}  // namespace intactkv::sim
