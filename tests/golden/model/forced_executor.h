// Teacher forcing inside the engine: an Executor around another that replaces sampled tokens by
// given ones and keeps the logits. Scheduler, pages, pins and the wrapped executor run as ever.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/sched/executor.h"
#include "tests/support/forwarding_executor.h"

namespace intactkv::golden {

// Which requests are forced to what, and what was recorded of them. A request is known by its
// SamplingParams::seed, which greedy sampling does not use and which reaches the plan untouched.
// Thread-safe.
class ForcedTokens {
 public:
  // From now on output `i` of the request with this seed is ids[i], and its row is kept. A script
  // of the same key is replaced.
  void Add(uint64_t key, std::vector<TokenId> ids);
  // [ids.size(), vocab] logits, and forgets the key. kNotFound: no such key; kFailedPrecondition: a
  // row was never computed.
  absl::StatusOr<std::vector<float>> Take(uint64_t key);
  // Keeps `row` if `key` has a script with output `index`: then `token` becomes the forced id.
  void Apply(uint64_t key, int64_t index, std::vector<float> row, TokenId& token);
  bool Has(uint64_t key) const;

 private:
  struct Script {
    std::vector<TokenId> ids;
    std::vector<std::vector<float>> rows;  // [ids.size()]; empty until computed
  };
  mutable Mutex mutex_;
  std::map<uint64_t, Script> scripts_ ABSL_GUARDED_BY(mutex_);
};

// Samples without a script pass through unchanged. The forced token keeps the log probability that
// the wrapped executor gave to its own. Engine thread only.
class ForcedExecutor : public ForwardingExecutor {
 public:
  ForcedExecutor(std::unique_ptr<Executor> inner, std::shared_ptr<ForcedTokens> forced);
  // kInternal if the wrapped executor does not return one token and one row of logits per sample.
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override;

 private:
  std::shared_ptr<ForcedTokens> forced_;
};

}  // namespace intactkv::golden
