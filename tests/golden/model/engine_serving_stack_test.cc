#include "tests/golden/model/engine_serving_stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv::golden {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kVocab = 7;

// The next token is (last token + position + 1) mod 7; its logit is the position, all others 0.
class CountingExecutor : public Executor {
 public:
  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override {
    StepResult result;
    for (const PlanRow& row : plan.rows) {
      if (!row.wants_logits) continue;
      const int32_t next = (row.token.value + row.position + 1) % kVocab;
      result.tokens.push_back({.token = TokenId(next), .logprob = 0, .top = {}});
      if (!plan.return_logits) continue;
      for (int32_t v = 0; v < kVocab; ++v) {
        result.logits.push_back(v == next ? static_cast<float>(row.position) : 0.0f);
      }
    }
    return result;
  }
  int64_t weight_bytes() const override { return 0; }
  int vocab_size() const override { return kVocab; }
  std::string PageChecksum(const std::vector<PageEntry>&) const override { return ""; }
};

// Runs each request on a thread of its own, one row a step, until its length.
class ThreadEngine : public Engine {
 public:
  explicit ThreadEngine(std::shared_ptr<Executor> executor) : executor_(std::move(executor)) {}
  ~ThreadEngine() override {
    for (std::thread& thread : threads_) thread.join();
  }
  absl::StatusOr<RequestHandle> Submit(GenerationRequest request,
                                       std::unique_ptr<TokenSink> sink) override {
    if (refuse) return ResourceExhausted("queue full");
    EXPECT_TRUE(request.ignore_eos);
    EXPECT_EQ(request.sampling.temperature, 0);
    threads_.emplace_back([this, request = std::move(request), sink = std::move(sink)] {
      FinishInfo info;
      info.status = fail_requests ? Internal("planted") : absl::OkStatus();
      info.usage.pinned_tokens = 2;
      if (!fail_requests) Generate(request, *sink);
      sink->OnFinish(info);
    });
    return RequestHandle([] {});
  }
  absl::StatusOr<PrefixInfo> Pin(PinRequest) override { return Unimplemented("test"); }
  absl::Status Unpin(PrefixId) override { return Unimplemented("test"); }
  std::vector<PrefixInfo> ListPrefixes() const override { return {}; }
  absl::Status ReplaceModel(std::unique_ptr<Executor>, std::vector<PinRequest>) override {
    return Unimplemented("test");
  }
  EngineStats Stats() const override { return {}; }
  absl::StatusOr<AuditReport> Audit() override { return AuditReport{}; }
  void Drain(absl::Time) override {}

  bool refuse = false, fail_requests = false;
  int32_t tokens_to_lose = 0;

 private:
  void Generate(const GenerationRequest& request, TokenSink& sink) {
    std::vector<TokenId> ids = request.prompt;
    for (int32_t i = 0; i < request.max_new_tokens - tokens_to_lose; ++i) {
      StepPlan plan;
      plan.rows.push_back({.token = ids.back(),
                           .position = static_cast<int32_t>(ids.size()) - 1,
                           .wants_logits = true});
      plan.samples.emplace_back();
      plan.samples[0].params = request.sampling;
      plan.samples[0].output_index = i;
      const auto result = executor_->Execute(plan);
      ASSERT_TRUE(result.ok()) << result.status();
      ids.push_back(result->tokens[0].token);
      TokenEvent event;
      event.token = result->tokens[0];
      sink.OnTokens({event});
    }
  }

  std::shared_ptr<Executor> executor_;
  std::vector<std::thread> threads_;
};

struct Stack {
  explicit Stack(bool decorate = true) {
    std::unique_ptr<Executor> executor = std::make_unique<CountingExecutor>();
    if (decorate) executor = std::make_unique<ForcedExecutor>(std::move(executor), forced);
    engine = std::make_shared<ThreadEngine>(std::move(executor));
    stack = std::make_unique<EngineServingStack>(engine, forced, kVocab);
  }
  std::shared_ptr<ForcedTokens> forced = std::make_shared<ForcedTokens>();
  std::shared_ptr<ThreadEngine> engine;
  std::unique_ptr<EngineServingStack> stack;
};

std::vector<TokenId> Ids(std::initializer_list<int32_t> values) {
  std::vector<TokenId> ids;
  for (const int32_t value : values) ids.emplace_back(value);
  return ids;
}

TEST(EngineServingStackTest, ForcedIdsAreFedBackAndTheirRowsReturned) {
  Stack s;
  const std::vector<ForcedPrompt> prompts = {{Ids({1, 2}), Ids({6, 6, 0})}, {Ids({5}), Ids({3})}};
  for (int repeat = 0; repeat < 2; ++repeat) {  // keys are not reused
    const auto runs = s.stack->RunTeacherForced(prompts);
    ASSERT_TRUE(runs.ok()) << runs.status();
    ASSERT_EQ(runs->size(), 2u);
    const std::vector<float>& logits = (*runs)[0].logits;
    ASSERT_EQ(logits.size(), size_t{3 * kVocab});
    // Rows at positions 1, 2, 3 with inputs 2, 6, 6 peak at 4, (6+2+1)%7 = 2, (6+3+1)%7 = 3.
    EXPECT_EQ(logits[4], 1);
    EXPECT_EQ(logits[kVocab + 2], 2);
    EXPECT_EQ(logits[2 * kVocab + 3], 3);
    EXPECT_EQ((*runs)[1].logits.size(), size_t{kVocab});
    EXPECT_EQ((*runs)[0].usage.pinned_tokens, 2);
  }
}

TEST(EngineServingStackTest, GreedyRunsAreNotForced) {
  Stack s;
  const auto answers = s.stack->RunGreedy(std::vector{Ids({1, 2}), Ids({5})}, 2);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_THAT((*answers)[0], ElementsAre(TokenId(4), TokenId(0)));
  EXPECT_THAT((*answers)[1], ElementsAre(TokenId(6), TokenId(1)));
}

TEST(EngineServingStackTest, AnEngineWithoutTheDecoratorIsFoundOut) {
  Stack s(/*decorate=*/false);
  const std::vector<ForcedPrompt> prompts = {{Ids({1, 2}), Ids({6, 6})}};
  EXPECT_THAT(std::string(s.stack->RunTeacherForced(prompts).status().message()),
              HasSubstr("did not take the forced ids"));
}

TEST(EngineServingStackTest, RefusedFailedAndShortRequestsAreErrors) {
  const std::vector<ForcedPrompt> prompts = {{Ids({1}), Ids({6, 6})}};
  Stack refused, failed, lost;
  refused.engine->refuse = true;
  failed.engine->fail_requests = true;
  lost.engine->tokens_to_lose = 1;
  EXPECT_EQ(refused.stack->RunTeacherForced(prompts).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(failed.stack->RunTeacherForced(prompts).status().message()),
              HasSubstr("planted"));
  EXPECT_THAT(std::string(lost.stack->RunTeacherForced(prompts).status().message()),
              HasSubstr("got 1 tokens, not 2"));
  const std::vector<std::vector<TokenId>> greedy = {Ids({1})};
  EXPECT_FALSE(lost.stack->RunGreedy(greedy, 2).ok());
}

}  // namespace
}  // namespace intactkv::golden
