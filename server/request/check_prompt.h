// The rules of a prompt's words, the same wherever a client sends one: generation on either wire,
// and /tokenize.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/text_codec.h"
#include "server/request/request_error.h"

namespace intactkv {

// nullopt, or 400 invalid_value that names `param`: more than kMaxStringBytes.
std::optional<RequestError> CheckPromptText(std::string_view param, const std::string& text);

// nullopt, or 400 invalid_value that names the field at fault: none or more than kMaxMessages
// messages, an unknown role, a content that is too long. "developer", OpenAI's newer name for it,
// becomes "system".
std::optional<RequestError> CheckMessages(std::vector<ChatMessage>& messages);

}  // namespace intactkv
