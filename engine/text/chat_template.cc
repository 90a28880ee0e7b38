#include "engine/text/chat_template.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/parser.h"

namespace intactkv {

namespace {

using jinja::Origin;
using jinja::Value;

std::vector<Segment> ToSegments(const jinja::Text& text) {
  std::vector<Segment> segments;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin + 1;
    while (end < text.size() && text.origin(end) == text.origin(begin)) ++end;
    segments.push_back({.text = std::string(text.bytes().substr(begin, end - begin)),
                        .from_template = text.origin(begin) == Origin::kTemplate});
    begin = end;
  }
  return segments;
}

absl::StatusOr<Value> ToValue(const ChatMessage& message) {
  return Value::Dict(
      {{Value::Of("role", Origin::kTemplate), Value::Of(message.role, Origin::kRequest)},
       {Value::Of("content", Origin::kTemplate), Value::Of(message.content, Origin::kRequest)}});
}

}  // namespace

ChatTemplate::ChatTemplate(jinja::Body body, ChatTemplateOptions options)
    : body_(std::move(body)), options_(std::move(options)) {}

absl::StatusOr<ChatTemplate> ChatTemplate::Compile(std::string_view source,
                                                   ChatTemplateOptions options) {
  ASSIGN_OR_RETURN(jinja::Body body, jinja::Parse(source));
  return ChatTemplate(std::move(body), std::move(options));
}

absl::StatusOr<std::vector<Segment>> ChatTemplate::Render(const ChatTemplateInput& input) const {
  jinja::Values messages;
  for (const ChatMessage& message : input.messages) {
    ASSIGN_OR_RETURN(Value value, ToValue(message));
    messages.push_back(std::move(value));
  }
  ASSIGN_OR_RETURN(Value list, Value::List(std::move(messages)));
  jinja::Environment environment{
      .globals = {{"messages", std::move(list)},
                  {"add_generation_prompt", Value::Of(input.add_generation_prompt)},
                  {"tools", Value::MakeNone()},
                  {"documents", Value::MakeNone()}},
      .now_unix_seconds = options_.now_unix_seconds,
      .limits = options_.limits};
  const auto define = [&](const char* name, const std::optional<std::string>& text) {
    if (!text.has_value()) return;
    environment.globals.emplace_back(name, Value::Of(*text, Origin::kTemplate));
  };
  define("bos_token", options_.bos_token);
  define("eos_token", options_.eos_token);
  ASSIGN_OR_RETURN(const jinja::Text text, jinja::Render(body_, environment));
  return ToSegments(text);
}

}  // namespace intactkv
