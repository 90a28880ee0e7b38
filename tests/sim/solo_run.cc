#include "tests/sim/solo_run.h"

#include <memory>
#include <utility>

#include "engine/core/clock.h"
#include "engine/core/engine_core.h"
#include "tests/support/hash_executor.h"

namespace intactkv::sim {
namespace {

constexpr int64_t kMaxSteps = 100'000;

class SoloSink : public TokenSink {
 public:
  SoloSink(SoloResult& result, bool& done) : result_(result), done_(done) {}
  void OnTokens(std::vector<TokenEvent> events) override {
    for (const TokenEvent& event : events) {
      if (event.of_prompt) {
        result_.scores.push_back(event.token.logprob);
      } else {
        result_.tokens[static_cast<size_t>(event.choice)].push_back(event.token.token);
      }
    }
  }
  void OnFinish(const FinishInfo& info) override {
    result_.status = info.status;
    done_ = true;
  }

 private:
  SoloResult& result_;
  bool& done_;
};

}  // namespace

SoloResult RunAlone(const EngineCoreOptions& options, GenerationRequest request,
                    const std::vector<TokenId>& pin, const HashModel& model) {
  const auto pinned = std::make_shared<HashPages>(options.num_pinned_blocks);
  HashExecutorOptions serving{.pinned = pinned,
                              .stored = std::make_shared<HashPages>(options.num_stored_blocks),
                              .num_hot_slots = options.max_running,
                              .epoch = model.epoch,
                              .vocab_size = model.vocab_size};
  ManualClock clock;
  const auto make_builder = [&]() -> absl::StatusOr<std::unique_ptr<Executor>> {
    return std::make_unique<HashExecutor>(
        HashExecutor::FullPrecision(pinned, model.epoch, model.vocab_size));
  };
  SoloResult result;
  result.tokens.resize(static_cast<size_t>(request.n));
  bool done = false;
  EngineCore engine(options, {.executor = std::make_unique<HashExecutor>(serving),
                              .full_precision = make_builder,
                              .clock = &clock,
                              .rng = Rng(1)});
  if (!pin.empty()) {
    result.status = engine.Pin({.name = "pin", .tokens = pin, .owner = ""}).status();
    if (!result.status.ok()) return result;
  }
  engine.MarkReady();
  request.deadline = absl::InfiniteFuture();
  const auto handle = engine.Submit(std::move(request), std::make_unique<SoloSink>(result, done));
  result.status = handle.status();
  if (!handle.ok()) return result;
  for (; !done && result.steps < kMaxSteps; ++result.steps) engine.Step();
  return result;
}

}  // namespace intactkv::sim
