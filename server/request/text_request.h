// Text to tokens and back for a client's own use: /tokenize, /detokenize and their gRPC calls, one
// set of checks and answers for both wires.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/text_codec.h"
#include "server/request/request_error.h"
#include "server/request/validated_request.h"

namespace intactkv {

// Exactly one of prompt and messages.
struct TokenizeInput {
  std::optional<std::string> prompt;
  std::optional<std::vector<ChatMessage>> messages;
  bool add_generation_prompt = true;  // of a chat
};

// nullopt, or 404: a model that is not served. Absent: the served one.
std::optional<RequestError> CheckModelName(const std::optional<std::string>& name,
                                           const ServedModel& model);
// nullopt, or 400 with the field at fault. Gives roles their common names.
std::optional<RequestError> CheckTokenizeInput(TokenizeInput& input);
// Checked input only. O(text): not on an I/O thread.
RequestOr<std::vector<TokenId>> TokenizeText(const TokenizeInput& input, const TextCodec& codec);

// Every id in the codec's vocabulary.
RequestOr<std::vector<TokenId>> CheckDetokenizeInput(const std::vector<int64_t>& ids,
                                                     const TextCodec& codec);
// Valid UTF-8, special tokens by name. O(tokens): not on an I/O thread.
RequestOr<std::string> DetokenizeText(const std::vector<TokenId>& tokens, const TextCodec& codec);

}  // namespace intactkv
