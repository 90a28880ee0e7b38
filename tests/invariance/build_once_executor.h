// An Executor for prefix builds that computes each prefix once per process and instruction set, and
// copies its pages into every further pool: a build costs more than most tests around it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/sched/executor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/isa.h"

namespace intactkv::test {

// Takes whole prefixes, one step each, into pages of one format. Test thread only.
class BuildOnceExecutor : public Executor {
 public:
  // `make` makes the executor that computes, when one is needed. `pages` is its stored pool.
  BuildOnceExecutor(Isa isa, KvPool& pages, std::function<std::unique_ptr<Executor>()> make);
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override;
  int64_t weight_bytes() const override { return 0; }
  int vocab_size() const override { return 0; }
  std::string PageChecksum(const std::vector<PageEntry>&) const override { return ""; }

 private:
  const Isa isa_;
  KvPool& pages_;
  const std::function<std::unique_ptr<Executor>()> make_;
};

}  // namespace intactkv::test
