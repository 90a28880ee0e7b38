#include "server/openai/messages_parser.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "server/openai/json_reader.h"
#include "server/request/request_limits.h"

namespace intactkv {
namespace {

namespace json = boost::json;

RequestOr<std::string> ParseContent(const json::value& value, const std::string& path) {
  if (value.is_string()) return ToString(value.get_string());
  const json::array* parts = value.if_array();
  if (parts == nullptr) return InvalidType(path, "a string or an array of text parts");
  std::string text;
  for (size_t i = 0; i < parts->size(); ++i) {
    const std::string at = path + "[" + std::to_string(i) + "]";
    const json::object* part = (*parts)[i].if_object();
    if (part == nullptr) return InvalidType(at, "an object");
    FieldReader fields(*part, at + ".");
    std::optional<std::string> type;
    std::optional<std::string> piece;
    fields.Read("type", type);
    if (fields.error().has_value()) return *fields.error();
    if (!type.has_value()) return MissingParameter(fields.Path("type"));
    if (*type != "text") return UnsupportedParameter(fields.Path("type"));
    fields.Read("text", piece);
    if (fields.error().has_value()) return *fields.error();
    if (!piece.has_value()) return MissingParameter(fields.Path("text"));
    text += *piece;
  }
  return text;
}

RequestOr<ChatMessage> ParseMessage(const json::value& value, const std::string& at) {
  const json::object* object = value.if_object();
  if (object == nullptr) return InvalidType(at, "an object");
  FieldReader fields(*object, at + ".");
  std::optional<std::string> role;
  fields.Read("role", role);
  if (fields.error().has_value()) return *fields.error();
  if (!role.has_value()) return MissingParameter(fields.Path("role"));
  if (const json::value* calls = fields.Find("tool_calls")) {
    if (!calls->is_array() || !calls->get_array().empty()) {
      return UnsupportedParameter(fields.Path("tool_calls"));
    }
  }
  for (const char* name : {"function_call", "audio"}) {
    if (fields.Find(name) != nullptr) return UnsupportedParameter(fields.Path(name));
  }
  const json::value* content = fields.Find("content");
  if (content == nullptr) return MissingParameter(fields.Path("content"));
  RequestOr<std::string> text = ParseContent(*content, fields.Path("content"));
  if (!text.ok()) return text.error();
  return ChatMessage{.role = std::move(*role), .content = std::move(text).value()};
}

}  // namespace

RequestOr<std::vector<ChatMessage>> ParseMessages(const json::value& value) {
  const json::array* array = value.if_array();
  if (array == nullptr) return InvalidType("messages", "an array of messages");
  if (array->size() > kMaxMessages) {
    return InvalidValue("messages",
                        "must have at most " + std::to_string(kMaxMessages) + " entries.");
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < array->size(); ++i) {
    RequestOr<ChatMessage> message =
        ParseMessage((*array)[i], "messages[" + std::to_string(i) + "]");
    if (!message.ok()) return message.error();
    messages.push_back(std::move(message).value());
  }
  return messages;
}

}  // namespace intactkv
