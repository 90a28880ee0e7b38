#include "tests/golden/model/engine_serving_stack.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"

namespace intactkv::golden {
namespace {

// What one request came to. Written on the engine thread; read after `done`.
struct Outcome {
  std::vector<TokenId> ids;
  FinishInfo info;
  Notification done;
};

class OutcomeSink : public TokenSink {
 public:
  explicit OutcomeSink(std::shared_ptr<Outcome> outcome) : outcome_(std::move(outcome)) {}
  void OnTokens(std::vector<TokenEvent> events) override {
    for (const TokenEvent& event : events) outcome_->ids.push_back(event.token.token);
  }
  void OnFinish(const FinishInfo& info) override {
    outcome_->info = info;
    outcome_->done.Notify();
  }

 private:
  std::shared_ptr<Outcome> outcome_;
};

// One submitted request; destroying it cancels.
struct Running {
  std::shared_ptr<Outcome> outcome = std::make_shared<Outcome>();
  RequestHandle handle;
};

GenerationRequest GreedyRequest(std::span<const TokenId> prompt, size_t num_tokens, uint64_t seed) {
  GenerationRequest request;
  request.prompt.assign(prompt.begin(), prompt.end());
  request.max_new_tokens = static_cast<int32_t>(num_tokens);
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  request.sampling.seed = seed;
  return request;
}

absl::StatusOr<Running> Start(Engine& engine, GenerationRequest request) {
  Running running;
  ASSIGN_OR_RETURN(running.handle, engine.Submit(std::move(request),
                                                 std::make_unique<OutcomeSink>(running.outcome)));
  return running;
}

absl::Status Wait(const Running& running, size_t num_tokens) {
  running.outcome->done.WaitForNotification();
  RETURN_IF_ERROR(running.outcome->info.status);
  if (running.outcome->ids.size() != num_tokens) {
    return Internal("got " + std::to_string(running.outcome->ids.size()) + " tokens, not " +
                    std::to_string(num_tokens));
  }
  return absl::OkStatus();
}

}  // namespace

EngineServingStack::EngineServingStack(std::shared_ptr<Engine> engine,
                                       std::shared_ptr<ForcedTokens> forced, int vocab_size)
    : engine_(std::move(engine)), forced_(std::move(forced)), vocab_size_(vocab_size) {
  CHECK(engine_ != nullptr);
  CHECK(forced_ != nullptr);
}

absl::StatusOr<std::vector<ForcedRun>> EngineServingStack::RunTeacherForced(
    std::span<const ForcedPrompt> prompts) {
  std::vector<Running> running;
  const uint64_t first_key = next_key_;
  for (const ForcedPrompt& prompt : prompts) {
    forced_->Add(next_key_, prompt.continuation);
    ASSIGN_OR_RETURN(
        Running started,
        Start(*engine_, GreedyRequest(prompt.prompt, prompt.continuation.size(), next_key_)));
    running.push_back(std::move(started));
    ++next_key_;
  }
  std::vector<ForcedRun> runs;
  for (size_t i = 0; i < prompts.size(); ++i) {
    RETURN_IF_ERROR(Wait(running[i], prompts[i].continuation.size()));
    if (running[i].outcome->ids != prompts[i].continuation) {
      return Internal("the engine did not take the forced ids: is its executor a ForcedExecutor?");
    }
    ASSIGN_OR_RETURN(std::vector<float> logits, forced_->Take(first_key + i));
    runs.push_back({.logits = std::move(logits), .usage = running[i].outcome->info.usage});
  }
  return runs;
}

absl::StatusOr<std::vector<std::vector<TokenId>>> EngineServingStack::RunGreedy(
    std::span<const std::vector<TokenId>> prompts, int num_tokens) {
  const size_t count = static_cast<size_t>(num_tokens);
  std::vector<Running> running;
  for (const std::vector<TokenId>& prompt : prompts) {
    ASSIGN_OR_RETURN(Running started, Start(*engine_, GreedyRequest(prompt, count, 0)));
    running.push_back(std::move(started));
  }
  std::vector<std::vector<TokenId>> answers;
  for (const Running& one : running) {
    RETURN_IF_ERROR(Wait(one, count));
    answers.push_back(one.outcome->ids);
  }
  return answers;
}

}  // namespace intactkv::golden
