// A Scheduler with its pools, driven by an executor that answers with a running number.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/sched/scheduler.h"

namespace intactkv {

struct FixtureOptions {
  int num_stored = 16;
  int max_running = 4;
  int max_tokens_per_step = 64;
  bool prefix_cache = true;
};

class SchedulerBench {
 public:
  explicit SchedulerBench(const FixtureOptions& options = {})
      : stored_(PageClass::kStored, options.num_stored, 1),
        hot_(PageClass::kHot, options.max_running, 1),
        manager_({.prefix_cache = options.prefix_cache}, stored_, hot_),
        scheduler_({.max_running = options.max_running,
                    .max_tokens_per_step = options.max_tokens_per_step,
                    .share_prefill = options.prefix_cache},
                   manager_) {}

  static std::vector<TokenId> Tokens(int count, int first) {
    std::vector<TokenId> tokens;
    for (int i = 0; i < count; ++i) tokens.emplace_back(first + i);
    return tokens;
  }
  // Prompts of different ids share nothing.
  static GenerationRequest Request(uint64_t id, int prompt, int max_new_tokens) {
    GenerationRequest request;
    request.prompt = Tokens(prompt, static_cast<int>(id) * 1'000);
    request.max_new_tokens = max_new_tokens;
    return request;
  }
  absl::Status Add(uint64_t id, GenerationRequest request) {
    return scheduler_.Add({.id = RequestId(id), .request = std::move(request)});
  }
  absl::Status Add(uint64_t id, int prompt, int max_new_tokens) {
    return Add(id, Request(id, prompt, max_new_tokens));
  }

  StepPlan Schedule() { return scheduler_.Schedule(++step_); }
  // Token of output index i is 900'000 + i; `non_finite` fails one sequence.
  std::vector<RequestUpdate> Update(const StepPlan& plan, int non_finite = -1) {
    StepResult result;
    for (const SampleRow& row : plan.samples) {
      SampledToken token;
      token.token = TokenId(900'000 + static_cast<int32_t>(row.output_index));
      result.tokens.push_back(token);
    }
    result.sequences.resize(plan.sequences.size());
    if (non_finite >= 0) result.sequences[static_cast<size_t>(non_finite)].non_finite = true;
    return scheduler_.UpdateFromOutput(plan, result);
  }
  std::vector<RequestUpdate> Step() { return Update(Schedule()); }

  // Ids of the sequences in the plan.
  static std::vector<uint64_t> Ids(const StepPlan& plan) {
    std::vector<uint64_t> ids;
    for (const PlanSequence& sequence : plan.sequences) ids.push_back(sequence.id.value);
    return ids;
  }
  // Steps until nothing is left; the number of tokens that each request got.
  std::map<uint64_t, int> RunToEnd(int max_steps = 10'000) {
    std::map<uint64_t, int> tokens;
    for (int i = 0; scheduler_.has_work(); ++i) {
      EXPECT_LT(i, max_steps);
      if (i >= max_steps) break;
      for (const RequestUpdate& update : Step()) {
        tokens[update.id.value] += static_cast<int>(update.events.size());
      }
    }
    return tokens;
  }
  void ExpectAllBack() {
    EXPECT_EQ(hot_.num_free(), hot_.num_blocks());
    EXPECT_EQ(manager_.num_available(), stored_.num_blocks());
    EXPECT_TRUE(stored_.CheckInvariants().ok());
  }

  Scheduler& scheduler() { return scheduler_; }
  KvCacheManager& manager() { return manager_; }
  BlockPool& stored() { return stored_; }

 private:
  BlockPool stored_;
  BlockPool hot_;
  KvCacheManager manager_;
  Scheduler scheduler_;
  int64_t step_ = 0;
};

}  // namespace intactkv
