#include "engine/core/prefix_builder.h"

#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"
#include "engine/sched/scheduler.h"

namespace intactkv {

absl::StatusOr<BlockTable> BuildPrefix(const std::vector<TokenId>& tokens, Executor& full_precision,
                                       BlockPool& pinned, int32_t chunk_tokens) {
  const int needed = BlocksFor(static_cast<int64_t>(tokens.size()));
  if (needed > pinned.num_free()) {
    return ResourceExhausted("the prefix needs " + std::to_string(needed) +
                             " pinned blocks; free are " + std::to_string(pinned.num_free()));
  }
  BlockPool hot(PageClass::kHot, 1, 0);  // the executor's own hot slot 0
  KvCacheManager manager({.prefix_cache = false}, pinned, hot);
  Scheduler scheduler({.max_running = 1, .max_tokens_per_step = chunk_tokens}, manager);
  const RequestId id(0);
  NewRequest build{.id = id, .build_prefix = true};
  build.request.prompt = tokens;
  RETURN_IF_ERROR(scheduler.Add(std::move(build)));
  for (int64_t step = 0;; ++step) {
    const StepPlan plan = scheduler.Schedule(step);
    CHECK(!plan.empty()) << "a prefix build cannot run out of blocks";
    absl::StatusOr<StepResult> result = full_precision.Execute(plan);
    if (!result.ok()) {
      scheduler.AbandonStep();
      scheduler.Remove(id);
      return result.status();
    }
    const std::vector<RequestUpdate> updates = scheduler.UpdateFromOutput(plan, *result);
    if (updates.empty()) continue;
    if (updates.front().non_finite) {
      scheduler.Remove(id);
      return Internal("a non-finite value while the prefix was computed");
    }
    return scheduler.TakeBuiltBlocks(id);
  }
}

}  // namespace intactkv
