// An Executor that hands everything to another one: for tests that change or watch one call of it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/sched/executor.h"

namespace intactkv {

// Threads as the other one's.
class ForwardingExecutor : public Executor {
 public:
  explicit ForwardingExecutor(std::shared_ptr<Executor> inner) : inner_(std::move(inner)) {
    CHECK(inner_ != nullptr);
  }
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override {
    return inner_->Execute(plan);
  }
  int64_t weight_bytes() const override { return inner_->weight_bytes(); }
  int vocab_size() const override { return inner_->vocab_size(); }
  std::string PageChecksum(const std::vector<PageEntry>& entries) const override {
    return inner_->PageChecksum(entries);
  }

 protected:
  Executor& inner() { return *inner_; }

 private:
  const std::shared_ptr<Executor> inner_;
};

}  // namespace intactkv
