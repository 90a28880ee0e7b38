#include "server/request/text_request.h"

#include "server/request/check_prompt.h"
#include "server/request/utf8.h"

namespace intactkv {

std::optional<RequestError> CheckModelName(const std::optional<std::string>& name,
                                           const ServedModel& model) {
  if (name.has_value() && *name != model.name) return ModelNotFound();
  return std::nullopt;
}

std::optional<RequestError> CheckTokenizeInput(TokenizeInput& input) {
  if (input.prompt.has_value() && input.messages.has_value()) {
    return InvalidValue("prompt", "cannot be combined with 'messages'.");
  }
  if (input.prompt.has_value()) return CheckPromptText("prompt", *input.prompt);
  if (!input.messages.has_value()) return MissingParameter("prompt");
  return CheckMessages(*input.messages);
}

RequestOr<std::vector<TokenId>> TokenizeText(const TokenizeInput& input, const TextCodec& codec) {
  const bool is_text = input.prompt.has_value();
  absl::StatusOr<std::vector<TokenId>> ids =
      is_text ? codec.Encode(*input.prompt)
              : codec.EncodeChat(*input.messages, input.add_generation_prompt);
  if (ids.ok()) return *std::move(ids);
  RequestError error = ErrorFromStatus(ids.status());
  error.param = is_text ? "prompt" : "messages";
  return error;
}

RequestOr<std::vector<TokenId>> CheckDetokenizeInput(const std::vector<int64_t>& ids,
                                                     const TextCodec& codec) {
  std::vector<TokenId> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    if (id < 0 || id >= codec.vocab_size()) {
      return InvalidValue("tokens", "must hold token ids from 0 to " +
                                        std::to_string(codec.vocab_size() - 1) + ".");
    }
    tokens.emplace_back(static_cast<int32_t>(id));
  }
  return tokens;
}

RequestOr<std::string> DetokenizeText(const std::vector<TokenId>& tokens, const TextCodec& codec) {
  const absl::StatusOr<std::string> text = codec.Decode(tokens, /*keep_special=*/true);
  if (!text.ok()) return ErrorFromStatus(text.status());
  return ToValidUtf8(*text);
}

}  // namespace intactkv
