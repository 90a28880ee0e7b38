#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "server/request/check_prompt.h"
#include "server/request/field_checks.h"
#include "server/request/request_limits.h"
#include "server/request/validated_request.h"

namespace intactkv {
namespace {

using Fields = ValidatedRequest::Fields;

// A different seed for each request that names none.
uint64_t FreshSeed() {
  static const uint64_t process_seed = [] {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  }();
  static std::atomic<uint64_t> counter{0};
  return RandomBits(process_seed, counter.fetch_add(1));
}

Fault CheckModel(const RawRequest& raw, const ServedModel& model) {
  // OpenAI's schema requires it; on gRPC the field is optional, and one server serves one model.
  if (!raw.model.has_value() && raw.endpoint != Endpoint::kGenerate)
    return MissingParameter("model");
  if (raw.model.has_value() && *raw.model != model.name) return ModelNotFound();
  if (!raw.unsupported.empty()) return UnsupportedParameter(raw.unsupported.front());
  const bool chat = raw.endpoint == Endpoint::kChat || raw.messages.has_value();
  if (raw.echo.value_or(false) && chat) return UnsupportedParameter("echo");
  return std::nullopt;
}

// Which prompt fields the endpoint takes, and that exactly one is there.
Fault CheckPromptChoice(const RawRequest& raw) {
  const bool chat = raw.endpoint == Endpoint::kChat;
  const bool completions = raw.endpoint == Endpoint::kCompletions;
  if (chat && raw.prompt.has_value()) return InvalidValue("prompt", "does not belong in a chat.");
  if (chat && raw.token_ids.has_value()) {
    return InvalidValue(raw.token_ids_param, "does not belong in a chat.");
  }
  if (completions && raw.messages.has_value()) {
    return InvalidValue("messages", "belongs in /v1/chat/completions.");
  }
  const int given = raw.messages.has_value() + raw.prompt.has_value() + raw.token_ids.has_value();
  if (given == 0) return MissingParameter(completions ? "prompt" : "messages");
  if (given > 1) {
    return InvalidValue(raw.token_ids.has_value() ? raw.token_ids_param : "prompt",
                        "cannot be combined: give exactly one of messages, prompt and token_ids.");
  }
  return std::nullopt;
}

Fault TakeMessages(std::vector<ChatMessage> messages, Fields& out) {
  if (Fault fault = CheckMessages(messages)) return fault;
  out.prompt_param = "messages";
  out.prompt = std::move(messages);
  return std::nullopt;
}

Fault TakePrompt(RawRequest& raw, const ServedModel& model, Fields& out) {
  if (Fault fault = CheckPromptChoice(raw)) return fault;
  if (raw.messages.has_value()) return TakeMessages(std::move(*raw.messages), out);
  if (raw.prompt.has_value()) {
    if (raw.prompt->empty()) return InvalidValue("prompt", "must not be empty.");
    if (Fault fault = CheckPromptText("prompt", *raw.prompt)) return fault;
    out.prompt_param = "prompt";
    out.prompt = std::move(*raw.prompt);
    return std::nullopt;
  }
  if (raw.token_ids->empty()) return InvalidValue(raw.token_ids_param, "must not be empty.");
  RequestOr<std::vector<TokenId>> ids = ToTokenIds(raw.token_ids_param, *raw.token_ids, model);
  if (!ids.ok()) return ids.error();
  out.prompt_param = raw.token_ids_param;
  out.prompt = std::move(ids).value();
  return std::nullopt;
}

Fault TakeLengths(const RawRequest& raw, Fields& out) {
  constexpr int64_t kNoUpperLimit = std::numeric_limits<int64_t>::max();  // the context decides
  const auto check = [](std::string_view param, std::optional<int64_t> value,
                        int64_t low) -> Fault {
    if (!value.has_value() || (*value >= low && *value <= kNoUpperLimit)) return std::nullopt;
    return InvalidValue(param, "must be at least " + Text(low) + ".");
  };
  out.echo = raw.echo.value_or(false);
  const int64_t least = out.echo ? 0 : 1;  // a prompt may be scored and nothing generated
  if (Fault fault = check("max_tokens", raw.max_tokens, least)) return fault;
  if (Fault fault = check("max_completion_tokens", raw.max_completion_tokens, least)) return fault;
  if (Fault fault = check("min_tokens", raw.min_tokens, 0)) return fault;
  if (raw.max_tokens.has_value() && raw.max_completion_tokens.has_value() &&
      *raw.max_tokens != *raw.max_completion_tokens) {
    return InvalidValue("max_completion_tokens", "contradicts 'max_tokens'. Give one of them.");
  }
  const bool newer_name = raw.max_completion_tokens.has_value();
  out.max_tokens = newer_name ? raw.max_completion_tokens : raw.max_tokens;
  out.max_tokens_param = newer_name ? "max_completion_tokens" : "max_tokens";
  out.min_tokens = raw.min_tokens.value_or(0);
  if (out.max_tokens.has_value() && out.min_tokens > *out.max_tokens) {
    return InvalidValue("min_tokens", "must not exceed '" + out.max_tokens_param + "'.");
  }
  out.ignore_eos = raw.ignore_eos.value_or(false);
  return std::nullopt;
}

Fault TakeSampling(const RawRequest& raw, const ServedModel& model, Fields& out) {
  SamplingParams& sampling = out.sampling;
  if (Fault f = CheckRange("temperature", raw.temperature, 0.0, kMaxTemperature)) return f;
  if (raw.top_k.has_value() && *raw.top_k != -1 &&
      (*raw.top_k < 1 || *raw.top_k > model.vocab_size)) {
    return InvalidValue("top_k",
                        "must be -1 (off) or between 1 and " + Text(model.vocab_size) + ".");
  }
  const auto top_p = static_cast<float>(raw.top_p.value_or(1.0));
  if (!(raw.top_p.value_or(1.0) <= 1.0) || !(top_p > 0.0f)) {
    return InvalidValue("top_p", "must be above 0 and at most 1.");
  }
  if (Fault f = CheckRange("min_p", raw.min_p, 0.0, 1.0)) return f;
  if (Fault f = CheckRange<int64_t>("n", raw.n, 1, kMaxChoices)) return f;
  const double temperature = raw.temperature.value_or(1.0);
  sampling.temperature = temperature < kGreedyBelow ? 0.0f : static_cast<float>(temperature);
  sampling.top_k = raw.top_k.value_or(-1) == -1 ? 0 : static_cast<int32_t>(*raw.top_k);
  sampling.top_p = top_p;
  sampling.min_p = static_cast<float>(raw.min_p.value_or(0.0));
  sampling.seed = raw.seed.has_value() ? static_cast<uint64_t>(*raw.seed) : FreshSeed();
  out.n = static_cast<int32_t>(raw.n.value_or(1));
  return std::nullopt;
}

Fault TakeStops(RawRequest& raw, const ServedModel& model, Fields& out) {
  if (raw.stop.has_value()) {
    if (raw.stop->size() > kMaxStopStrings) {
      return InvalidValue("stop", "must have at most " + Text(kMaxStopStrings) + " strings.");
    }
    if (Fault fault = CheckStrings("stop", *raw.stop, kMaxStopBytes)) return fault;
    out.stop = std::move(*raw.stop);
  }
  out.include_stop = raw.include_stop_str_in_output.value_or(false);
  if (raw.stop_token_ids.has_value()) {
    if (raw.stop_token_ids->size() > kMaxStopTokenIds) {
      return InvalidValue("stop_token_ids",
                          "must have at most " + Text(kMaxStopTokenIds) + " ids.");
    }
    RequestOr<std::vector<TokenId>> ids = ToTokenIds("stop_token_ids", *raw.stop_token_ids, model);
    if (!ids.ok()) return ids.error();
    out.stop_token_ids = std::move(ids).value();
  }
  return std::nullopt;
}

Fault TakeOutput(RawRequest& raw, Fields& out) {
  if (Fault f = CheckRange<int64_t>("top_logprobs", raw.top_logprobs, 0, kMaxTopLogprobs)) return f;
  if (Fault f = CheckRange<int64_t>("logprobs", raw.completion_logprobs, 0, kMaxTopLogprobs))
    return f;
  if (raw.top_logprobs.has_value() && !raw.logprobs.value_or(false)) {
    return InvalidValue("top_logprobs", "needs 'logprobs' to be true.");
  }
  if (raw.completion_logprobs.has_value()) {
    out.sampling.num_logprobs = static_cast<int32_t>(*raw.completion_logprobs);
  } else if (raw.logprobs.value_or(false)) {
    out.sampling.num_logprobs = static_cast<int32_t>(raw.top_logprobs.value_or(0));
  }
  out.stream = raw.stream.value_or(false);
  // gRPC's Generate always streams; on REST the option means nothing without `stream`.
  if (raw.include_usage.has_value() && raw.endpoint != Endpoint::kGenerate && !out.stream) {
    return InvalidValue("stream_options", "needs 'stream' to be true.");
  }
  out.include_usage = raw.include_usage.value_or(false);
  out.return_token_ids = raw.return_token_ids.value_or(false);
  if (raw.cache_salt.has_value()) {
    if (raw.cache_salt->empty() || raw.cache_salt->size() > kMaxSaltBytes) {
      return InvalidValue("cache_salt", "must have 1 to " + Text(kMaxSaltBytes) + " bytes.");
    }
    out.cache_salt = std::move(*raw.cache_salt);
  }
  return std::nullopt;
}

// It goes into logs and answers: nothing in it may need quoting.
Fault TakeRequestId(RawRequest& raw, Fields& out) {
  if (!raw.request_id.has_value()) return std::nullopt;
  const auto is_good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (raw.request_id->empty() || raw.request_id->size() > kMaxRequestIdBytes ||
      !std::all_of(raw.request_id->begin(), raw.request_id->end(), is_good)) {
    return InvalidValue("request_id", "must have 1 to " + Text(kMaxRequestIdBytes) +
                                          " letters, digits, '.', '_' and '-'.");
  }
  out.request_id = std::move(*raw.request_id);
  return std::nullopt;
}

}  // namespace

RequestOr<ValidatedRequest> ValidateRequest(RawRequest raw, const ServedModel& model) {
  Fields fields;
  fields.endpoint = raw.endpoint;
  if (Fault fault = CheckModel(raw, model)) return *fault;
  if (Fault fault = TakePrompt(raw, model, fields)) return *fault;
  if (Fault fault = TakeLengths(raw, fields)) return *fault;
  if (Fault fault = TakeSampling(raw, model, fields)) return *fault;
  if (Fault fault = TakeEdits(raw, model, fields)) return *fault;
  if (Fault fault = TakeStops(raw, model, fields)) return *fault;
  if (Fault fault = TakeOutput(raw, fields)) return *fault;
  if (Fault fault = TakeRequestId(raw, fields)) return *fault;
  return ValidatedRequest(std::move(fields));
}

}  // namespace intactkv
