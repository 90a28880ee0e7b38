#include "server/request/refuse_early.h"

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

namespace intactkv {
namespace {

int64_t TextBytes(const ValidatedRequest& request) {
  if (const auto* text = std::get_if<std::string>(&request->prompt)) {
    return static_cast<int64_t>(text->size());
  }
  int64_t bytes = 0;
  if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&request->prompt)) {
    for (const ChatMessage& message : *messages) {
      bytes += static_cast<int64_t>(message.content.size());
    }
  }
  return bytes;  // 0 for token ids: they are counted without being encoded
}

}  // namespace

std::optional<RequestError> RefuseEarly(const ValidatedRequest& request,
                                        const ServingParts& parts) {
  const int64_t bytes = TextBytes(request);
  const int64_t most = int64_t{parts.model.max_model_len} * parts.model.longest_token_bytes;
  if (parts.model.longest_token_bytes > 0 && bytes > most) {
    return PromptTooManyBytes(request->prompt_param, bytes, parts.model.max_model_len);
  }
  const absl::Status admission = parts.engine->CheckAdmission();
  if (!admission.ok()) return ErrorFromStatus(admission);
  return std::nullopt;
}

int64_t LongestTokenBytes(const TextCodec& codec) {
  size_t longest = 0;
  for (int32_t id = 0; id < codec.vocab_size(); ++id) {
    // No text becomes a special token.
    if (!codec.IsSpecial(TokenId(id))) {
      longest = std::max(longest, codec.TokenBytes(TokenId(id)).size());
    }
  }
  return static_cast<int64_t>(longest);
}

}  // namespace intactkv
