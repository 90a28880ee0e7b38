#include "tests/damage/served_once.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "server/config/server_config.h"
#include "server/main/serving_stack.h"

namespace intactkv::test {
namespace {

constexpr int kNumTokens = 4;
constexpr int kMaxSteps = 50;

struct Outcome {
  int tokens = 0;
  std::optional<absl::Status> finished;
};

class CountingSink : public TokenSink {
 public:
  explicit CountingSink(std::shared_ptr<Outcome> outcome) : outcome_(std::move(outcome)) {}
  void OnTokens(std::vector<TokenEvent> events) override {
    outcome_->tokens += static_cast<int>(events.size());
  }
  void OnFinish(const FinishInfo& info) override { outcome_->finished = info.status; }

 private:
  std::shared_ptr<Outcome> outcome_;
};

absl::StatusOr<ServerConfig> SmallServer(const std::string& path) {
  const std::vector<std::string> flags = {
      "--model",         path, "--threads",     "1", "--kv-pool-bytes",       "1M",
      "--max-model-len", "64", "--max-running", "1", "--max-tokens-per-step", "32"};
  return ParseServeFlags(flags, [](const std::string&) { return std::nullopt; });
}

std::vector<TokenId> Prompt(const TextCodec& codec) {
  const absl::StatusOr<std::vector<TokenId>> ids = codec.Encode("Hi, you!");
  CHECK(ids.ok());
  if (!ids->empty()) return *ids;
  return {TokenId(0)};  // the damaged vocabulary has no token for these words
}

bool Answers(ServingStack& stack) {
  EngineCore& engine = stack.engine();
  GenerationRequest request;
  request.prompt = Prompt(stack.codec());
  request.max_new_tokens = kNumTokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  const auto outcome = std::make_shared<Outcome>();
  const absl::StatusOr<RequestHandle> handle =
      engine.Submit(std::move(request), std::make_unique<CountingSink>(outcome));
  if (!handle.ok()) return false;
  for (int i = 0; i < kMaxSteps && engine.Step(); ++i) {
  }
  if (!outcome->finished.has_value()) return false;
  if (outcome->finished->ok()) return outcome->tokens == kNumTokens;
  return outcome->finished->code() == absl::StatusCode::kInternal;
}

}  // namespace

ServedOnce ServeOnce(const std::string& path) {
  const absl::StatusOr<ServerConfig> config = SmallServer(path);
  CHECK(config.ok()) << std::string(config.status().message());
  const absl::StatusOr<std::unique_ptr<ServingStack>> stack = ServingStack::Build(*config, {});
  if (!stack.ok()) return {.loaded = stack.status()};
  return {.loaded = absl::OkStatus(), .answered = Answers(**stack)};
}

}  // namespace intactkv::test
