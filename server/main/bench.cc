#include "server/main/bench.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/mutex.h"
#include "engine/base/rng.h"
#include "engine/base/status_macros.h"
#include "server/main/serving_stack.h"

namespace intactkv {
namespace {

struct Timing {
  absl::Status status;
  absl::Duration first;  // submit to first token
  absl::Duration rest;   // first token to last token
  int tokens = 0;
  Notification done;
};

class TimingSink : public TokenSink {
 public:
  explicit TimingSink(std::shared_ptr<Timing> timing)
      : timing_(std::move(timing)), start_(absl::Now()) {}
  void OnTokens(std::vector<TokenEvent> events) override {
    const absl::Time now = absl::Now();
    if (timing_->tokens == 0) {
      timing_->first = now - start_;
      first_at_ = now;
    }
    timing_->tokens += static_cast<int>(events.size());
    timing_->rest = now - first_at_;
  }
  void OnFinish(const FinishInfo& info) override {
    timing_->status = info.status;
    timing_->done.Notify();
  }

 private:
  std::shared_ptr<Timing> timing_;
  absl::Time start_, first_at_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Random ids behind the pinned prefix, so that no repeat finds another one's pages.
std::vector<TokenId> MakePrompt(const ServingStack& stack, const std::vector<TokenId>& prefix,
                                int32_t num_tokens, Rng& rng) {
  std::vector<TokenId> prompt = prefix;
  for (int32_t i = 0; i < num_tokens; ++i) {
    prompt.push_back(TokenId(
        static_cast<int32_t>(rng.Below(static_cast<uint64_t>(stack.codec().vocab_size())))));
  }
  return prompt;
}

absl::Status RunOne(ServingStack& stack, std::vector<TokenId> prompt, int32_t decode_tokens,
                    Timing& out) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = decode_tokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  std::shared_ptr<Timing> timing(&out, [](Timing*) {});
  ASSIGN_OR_RETURN(const RequestHandle handle,
                   stack.engine().Submit(std::move(request), std::make_unique<TimingSink>(timing)));
  out.done.WaitForNotification();
  return out.status;
}

}  // namespace

absl::Status RunBench(ServerConfig config, const BenchOptions& options) {
  if (options.prompt_tokens < 1 || options.decode_tokens < 2 || options.repeats < 1) {
    return InvalidArgument(
        "bench: needs --prompt-tokens >= 1, --decode-tokens >= 2, --repeats >= 1");
  }
  StackHooks hooks;
  hooks.print = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  ASSIGN_OR_RETURN(const std::unique_ptr<ServingStack> stack, ServingStack::Build(config, hooks));
  std::vector<TokenId> prefix;
  if (config.pin) {
    const std::string* prompt = config.system_prompts.empty() ? nullptr : &config.system_prompts[0];
    ASSIGN_OR_RETURN(prefix, stack->codec().SystemPrefix(prompt));
  }
  stack->engine().Start();
  Rng rng(1);
  std::vector<double> prefill, decode;
  for (int32_t repeat = 0; repeat <= options.repeats; ++repeat) {
    Timing timing;
    RETURN_IF_ERROR(RunOne(*stack, MakePrompt(*stack, prefix, options.prompt_tokens, rng),
                           options.decode_tokens, timing));
    const double prefill_rate = options.prompt_tokens / absl::ToDoubleSeconds(timing.first);
    const double decode_rate = (timing.tokens - 1) / absl::ToDoubleSeconds(timing.rest);
    if (repeat == 0) continue;  // warm-up
    std::printf("repeat %d  prefill %.1f tok/s  decode %.1f tok/s\n", repeat, prefill_rate,
                decode_rate);
    prefill.push_back(prefill_rate);
    decode.push_back(decode_rate);
  }
  std::printf("median    prefill of %d tokens %.1f tok/s, decode at batch 1 %.1f tok/s\n",
              options.prompt_tokens, Median(prefill), Median(decode));
  return absl::OkStatus();
}

}  // namespace intactkv
