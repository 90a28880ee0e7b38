#include "tests/golden/model/golden_checks.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "tests/golden/model/golden_metrics.h"

namespace intactkv::golden {
namespace {

std::string Scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

class GoldenRun {
 public:
  GoldenRun(const Reference& reference, const GoldenOptions& options)
      : reference_(reference), options_(options) {
    report_.least_pinned_tokens = std::numeric_limits<int32_t>::max();
  }

  absl::Status Forced(ServingStack& stack, size_t begin, size_t end) {
    std::vector<ForcedPrompt> prompts;
    for (size_t i = begin; i < end; ++i) {
      prompts.push_back({reference_.prompts[i].ids, reference_.prompts[i].GreedyIds()});
    }
    ASSIGN_OR_RETURN(const std::vector<ForcedRun> runs, stack.RunTeacherForced(prompts));
    if (runs.size() != prompts.size()) return Internal("the stack lost a request");
    for (size_t i = 0; i < runs.size(); ++i) RETURN_IF_ERROR(AddForced(begin + i, runs[i]));
    return absl::OkStatus();
  }

  absl::Status Free(ServingStack& stack, size_t begin, size_t end) {
    std::vector<std::vector<TokenId>> prompts;
    for (size_t i = begin; i < end; ++i) prompts.push_back(reference_.prompts[i].ids);
    const size_t num_tokens = reference_.prompts[begin].positions.size();
    ASSIGN_OR_RETURN(const auto answers, stack.RunGreedy(prompts, static_cast<int>(num_tokens)));
    if (answers.size() != prompts.size()) return Internal("the stack lost a request");
    for (size_t i = 0; i < answers.size(); ++i) AddFree(begin + i, answers[i]);
    return absl::OkStatus();
  }

  GoldenReport Finish() {
    report_.mean_kl = sum_kl_ / report_.num_positions;
    report_.top1 = static_cast<double>(num_agree_) / report_.num_positions;
    if (options_.check_exact && report_.num_unclear > kMaxUnclearShare * report_.num_positions) {
      Fail("too many positions with a small margin: " + std::to_string(report_.num_unclear));
    }
    if (options_.check_close && !(report_.mean_kl <= options_.max_mean_kl)) {
      Fail("mean KL " + Scientific(report_.mean_kl) + " > " + Scientific(options_.max_mean_kl));
    }
    if (options_.check_close && !(report_.top1 >= kMinTop1)) {
      Fail("top-1 agreement " + Scientific(report_.top1) + " < " + Scientific(kMinTop1));
    }
    return report_;
  }

 private:
  void Fail(std::string line) { report_.failures.push_back(std::move(line)); }

  absl::Status AddForced(size_t prompt, const ForcedRun& run) {
    const auto& positions = reference_.prompts[prompt].positions;
    const size_t vocab = static_cast<size_t>(reference_.vocab_size);
    if (run.logits.size() != positions.size() * vocab) return Internal("wrong number of logits");
    for (size_t i = 0; i < positions.size(); ++i) {
      AddRow(positions[i], std::span(run.logits).subspan(i * vocab, vocab),
             "prompt " + std::to_string(prompt) + ", position " + std::to_string(i) + ": ");
    }
    report_.pinned_tokens += run.usage.pinned_tokens;
    report_.least_pinned_tokens = std::min(report_.least_pinned_tokens, run.usage.pinned_tokens);
    return absl::OkStatus();
  }

  void AddRow(const ReferencePosition& position, std::span<const float> logits,
              const std::string& where) {
    const RowDistance row = CompareRow(reference_.fixed_ids, position, logits);
    const bool clear = position.margin > kClearMargin;
    const bool agrees = row.argmax == position.greedy;
    ++report_.num_positions;
    report_.num_unclear += clear ? 0 : 1;
    num_agree_ += agrees ? 1 : 0;
    sum_kl_ += row.kl;
    report_.worst_kl = std::max(report_.worst_kl, row.kl);
    report_.worst_logit = std::max(report_.worst_logit, row.logit);
    report_.worst_logsumexp = std::max(report_.worst_logsumexp, row.logsumexp);
    if (!row.finite) Fail(where + "a logit is not finite");
    if (!options_.check_exact) return;
    if (!(row.logit <= kLogitBound)) Fail(where + "logit off by " + Scientific(row.logit));
    if (!(row.logsumexp <= kLogitBound)) {
      Fail(where + "logsumexp off by " + Scientific(row.logsumexp));
    }
    if (clear && !agrees) {
      Fail(where + "argmax " + std::to_string(row.argmax.value) + ", not " +
           std::to_string(position.greedy.value));
    }
  }

  // Ids are owed up to the first position at which the reference itself hardly decides.
  void AddFree(size_t prompt, const std::vector<TokenId>& answer) {
    const auto& positions = reference_.prompts[prompt].positions;
    for (size_t i = 0; i < positions.size(); ++i) {
      if (!(positions[i].margin > kClearMargin)) return;
      if (i >= answer.size() || answer[i] != positions[i].greedy) {
        Fail("prompt " + std::to_string(prompt) + ": free-running ids leave the reference at " +
             std::to_string(i));
        return;
      }
    }
  }

  const Reference& reference_;
  const GoldenOptions options_;
  GoldenReport report_;
  double sum_kl_ = 0;
  int num_agree_ = 0;
};

}  // namespace

std::string GoldenReport::Summary() const {
  return std::to_string(num_positions) + " positions: max |dlogit| " + Scientific(worst_logit) +
         " and |dlogsumexp| " + Scientific(worst_logsumexp) + " of max |logit|, KL mean " +
         Scientific(mean_kl) + " max " + Scientific(worst_kl) + ", top-1 " +
         Scientific(top1 * 100) + " %, " + std::to_string(pinned_tokens) + " pinned tokens";
}

absl::StatusOr<GoldenReport> RunGolden(const Reference& reference, ServingStack& stack,
                                       const GoldenOptions& options) {
  CHECK_GE(options.group, size_t{1});
  if (stack.vocab_size() != reference.vocab_size) {
    return InvalidArgument("the stack's vocabulary has " + std::to_string(stack.vocab_size()) +
                           " ids, the reference's " + std::to_string(reference.vocab_size));
  }
  GoldenRun run(reference, options);
  const size_t count = reference.prompts.size();
  for (size_t begin = 0; begin < count; begin += options.group) {
    const size_t end = std::min(count, begin + options.group);
    RETURN_IF_ERROR(run.Forced(stack, begin, end));
    if (options.check_exact) RETURN_IF_ERROR(run.Free(stack, begin, end));
  }
  return run.Finish();
}

}  // namespace intactkv::golden
