#include "tests/golden/model/forced_executor.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace intactkv::golden {

void ForcedTokens::Add(uint64_t key, std::vector<TokenId> ids) {
  CHECK(!ids.empty());
  MutexLock lock(&mutex_);
  const size_t size = ids.size();
  scripts_.insert_or_assign(
      key, Script{.ids = std::move(ids), .rows = std::vector<std::vector<float>>(size)});
}

absl::StatusOr<std::vector<float>> ForcedTokens::Take(uint64_t key) {
  MutexLock lock(&mutex_);
  auto node = scripts_.extract(key);
  if (node.empty()) return NotFound("no forced request with key " + std::to_string(key));
  std::vector<float> logits;
  const Script& script = node.mapped();
  for (size_t i = 0; i < script.rows.size(); ++i) {
    if (script.rows[i].empty()) {
      return FailedPrecondition("output " + std::to_string(i) + " of request " +
                                std::to_string(key) + " was never computed");
    }
    logits.insert(logits.end(), script.rows[i].begin(), script.rows[i].end());
  }
  return logits;
}

void ForcedTokens::Apply(uint64_t key, int64_t index, std::vector<float> row, TokenId& token) {
  MutexLock lock(&mutex_);
  const auto it = scripts_.find(key);
  if (it == scripts_.end() || index < 0 || index >= std::ssize(it->second.ids)) return;
  token = it->second.ids[static_cast<size_t>(index)];
  it->second.rows[static_cast<size_t>(index)] = std::move(row);
}

bool ForcedTokens::Has(uint64_t key) const {
  MutexLock lock(&mutex_);
  return scripts_.count(key) != 0;
}

ForcedExecutor::ForcedExecutor(std::unique_ptr<Executor> inner,
                               std::shared_ptr<ForcedTokens> forced)
    : ForwardingExecutor(std::move(inner)), forced_(std::move(forced)) {
  CHECK(forced_ != nullptr);
}

absl::StatusOr<StepResult> ForcedExecutor::Execute(const StepPlan& plan) {
  bool any_forced = false;
  for (const SampleRow& sample : plan.samples) {
    any_forced = any_forced || forced_->Has(sample.params.seed);
  }
  if (!any_forced) return inner().Execute(plan);
  StepPlan with_logits = plan;
  with_logits.return_logits = true;
  ASSIGN_OR_RETURN(StepResult result, inner().Execute(with_logits));
  const size_t vocab = static_cast<size_t>(vocab_size());
  if (result.tokens.size() != plan.samples.size() ||
      result.logits.size() != plan.samples.size() * vocab) {
    return Internal("the executor returned " + std::to_string(result.tokens.size()) +
                    " tokens and " + std::to_string(result.logits.size()) + " logits for " +
                    std::to_string(plan.samples.size()) + " samples");
  }
  for (size_t i = 0; i < plan.samples.size(); ++i) {
    const auto row = result.logits.begin() + static_cast<int64_t>(i * vocab);
    forced_->Apply(plan.samples[i].params.seed, plan.samples[i].output_index,
                   std::vector<float>(row, row + static_cast<int64_t>(vocab)),
                   result.tokens[i].token);
  }
  if (!plan.return_logits) result.logits.clear();
  return result;
}

}  // namespace intactkv::golden
