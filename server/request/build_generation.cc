#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "server/request/request_limits.h"
#include "server/request/validated_request.h"

namespace intactkv {
namespace {

absl::StatusOr<std::vector<TokenId>> EncodePrompt(const ValidatedRequest::Fields& request,
                                                  const TextCodec& codec) {
  if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&request.prompt)) {
    return codec.EncodeChat(*messages, /*add_generation_prompt=*/true);
  }
  if (const auto* text = std::get_if<std::string>(&request.prompt)) return codec.Encode(*text);
  return std::get<std::vector<TokenId>>(request.prompt);
}

// nullptr when nothing is to be done. A bad word is one at the beginning of a text and within one,
// where it follows a space: other ids.
absl::StatusOr<std::shared_ptr<const LogitEdits>> MakeEdits(const ValidatedRequest::Fields& request,
                                                            const TextCodec& codec) {
  LogitEdits edits = request.edits;
  for (const std::string& word : request.bad_words) {
    for (const std::string& text : {word, " " + word}) {
      ASSIGN_OR_RETURN(std::vector<TokenId> ids, codec.Encode(text));
      if (!ids.empty()) edits.bad_words.push_back(std::move(ids));
    }
  }
  if (edits.bias.empty() && edits.allowed.empty() && edits.bad_words.empty() &&
      !edits.reads_history()) {
    return nullptr;
  }
  return std::make_shared<const LogitEdits>(std::move(edits));
}

// How many tokens may be generated after `prompt_tokens`, all in 64 bits.
RequestOr<int32_t> MaxNewTokens(const ValidatedRequest::Fields& request, int64_t prompt_tokens,
                                int64_t context) {
  const int64_t left = context - prompt_tokens;
  if (left < 1) {
    return ContextLengthExceeded(request.prompt_param, prompt_tokens,
                                 std::max<int64_t>(request.max_tokens.value_or(1), 1), context);
  }
  if (request.max_tokens.has_value()) {
    if (*request.max_tokens > left) {
      return ContextLengthExceeded(request.max_tokens_param, prompt_tokens, *request.max_tokens,
                                   context);
    }
    return static_cast<int32_t>(*request.max_tokens);
  }
  const bool chat = std::holds_alternative<std::vector<ChatMessage>>(request.prompt);
  return static_cast<int32_t>(chat ? left : std::min<int64_t>(left, kDefaultCompletionTokens));
}

}  // namespace

RequestOr<GenerationRequest> BuildGeneration(const ValidatedRequest& request,
                                             const TextCodec& codec, const ServedModel& model,
                                             absl::Time deadline) {
  absl::StatusOr<std::vector<TokenId>> prompt = EncodePrompt(*request, codec);
  if (!prompt.ok()) {
    RequestError error = ErrorFromStatus(prompt.status());
    error.param = request->prompt_param;
    return error;
  }
  if (prompt->empty()) return InvalidValue(request->prompt_param, "gives no tokens.");
  const auto prompt_tokens = static_cast<int64_t>(prompt->size());
  RequestOr<int32_t> max_new = MaxNewTokens(*request, prompt_tokens, model.max_model_len);
  if (!max_new.ok()) return max_new.error();
  if (request->min_tokens > *max_new) {
    return InvalidValue("min_tokens", "exceeds the " + std::to_string(*max_new) +
                                          " tokens that will be generated.");
  }
  const bool score_prompt = request->echo && request->sampling.num_logprobs >= 0;
  const int64_t echoed = prompt_tokens * (1 + int64_t{request->sampling.num_logprobs}) * request->n;
  if (score_prompt && echoed > kMaxEchoedLogprobs) {
    return InvalidValue("logprobs", "asks for " + std::to_string(echoed) +
                                        " log probabilities of the prompt, of at most " +
                                        std::to_string(kMaxEchoedLogprobs) + ".");
  }
  absl::StatusOr<std::shared_ptr<const LogitEdits>> edits = MakeEdits(*request, codec);
  if (!edits.ok()) {
    RequestError error = ErrorFromStatus(edits.status());
    error.param = "bad_words";
    return error;
  }
  GenerationRequest generation;
  generation.prompt = std::move(*prompt);
  generation.max_new_tokens = std::max(*max_new, 1);  // the stream drops what nobody asked for
  generation.min_new_tokens = static_cast<int32_t>(request->min_tokens);
  generation.ignore_eos = request->ignore_eos;
  generation.stop_token_ids = codec.end_ids();
  generation.stop_token_ids.insert(generation.stop_token_ids.end(), request->stop_token_ids.begin(),
                                   request->stop_token_ids.end());
  generation.sampling = request->sampling;
  generation.sampling.edits = std::move(*edits);
  generation.score_prompt = score_prompt;
  generation.n = request->n;
  generation.cache_salt = request->cache_salt;
  generation.deadline = deadline;
  return generation;
}

}  // namespace intactkv
