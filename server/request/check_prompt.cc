#include "server/request/check_prompt.h"

#include "server/request/request_limits.h"

namespace intactkv {

std::optional<RequestError> CheckPromptText(std::string_view param, const std::string& text) {
  if (text.size() <= kMaxStringBytes) return std::nullopt;
  return InvalidValue(param, "must have at most " + std::to_string(kMaxStringBytes) + " bytes.");
}

std::optional<RequestError> CheckMessages(std::vector<ChatMessage>& messages) {
  if (messages.empty()) return InvalidValue("messages", "must not be empty.");
  if (messages.size() > kMaxMessages) {
    return InvalidValue("messages",
                        "must have at most " + std::to_string(kMaxMessages) + " entries.");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string at = "messages[" + std::to_string(i) + "]";
    ChatMessage& message = messages[i];
    if (message.role == "developer") message.role = "system";
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      return InvalidValue(at + ".role", "must be system, developer, user or assistant.");
    }
    if (auto fault = CheckPromptText(at + ".content", message.content)) return fault;
  }
  return std::nullopt;
}

}  // namespace intactkv
