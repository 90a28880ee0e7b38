#include "engine/text/chat_template.h"

#include <algorithm>
#include <utility>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/json_value.h"
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

// Role and content, unless `more` has its own.
absl::StatusOr<Value> ToValue(const ChatMessage& message) {
  jinja::Entries more;
  if (!message.more_json.empty()) {
    ASSIGN_OR_RETURN(more, jinja::ParseJsonObject(message.more_json, "a message"));
  }
  jinja::Entries entries;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (jinja::Find(more, name) != nullptr) return;
    entries.emplace_back(Value::Of(name, Origin::kTemplate), Value::Of(value, Origin::kRequest));
  };
  add("role", message.role);
  add("content", message.content);
  entries.insert(entries.end(), more.begin(), more.end());
  return Value::Dict(std::move(entries));
}

absl::StatusOr<Value> ToolsValue(std::string_view tools_json) {
  if (tools_json.empty()) return Value::MakeNone();
  ASSIGN_OR_RETURN(Value tools, jinja::ParseJson(tools_json, "tools"));
  if (tools.as_list() == nullptr) return InvalidArgument("tools: is not a JSON array");
  return tools;
}

using Globals = std::vector<std::pair<std::string, Value>>;

// Arguments of the request come last, and none takes the name of another variable.
absl::Status AddArguments(std::string_view arguments_json, Globals& globals) {
  if (arguments_json.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const jinja::Entries arguments,
                   jinja::ParseJsonObject(arguments_json, "template arguments"));
  for (const auto& [key, value] : arguments) {
    const std::string name(key.as_text()->bytes());
    const bool taken = std::any_of(globals.begin(), globals.end(),
                                   [&](const auto& global) { return global.first == name; });
    if (taken) return InvalidArgument("template arguments: '" + Printable(name) + "' is taken");
    globals.emplace_back(name, value);
  }
  return absl::OkStatus();
}

}  // namespace

ChatTemplate::ChatTemplate(jinja::Body body, ChatTemplateOptions options)
    : body_(std::move(body)), options_(std::move(options)) {}

absl::StatusOr<ChatTemplate> ChatTemplate::Compile(std::string_view source,
                                                   ChatTemplateOptions options) {
  ASSIGN_OR_RETURN(jinja::Body body, jinja::Parse(source));
  return ChatTemplate(std::move(body), std::move(options));
}

absl::StatusOr<std::vector<Segment>> ChatTemplate::Render(const ChatPrompt& prompt) const {
  jinja::Values messages;
  for (const ChatMessage& message : prompt.messages) {
    ASSIGN_OR_RETURN(Value value, ToValue(message));
    messages.push_back(std::move(value));
  }
  ASSIGN_OR_RETURN(Value list, Value::List(std::move(messages)));
  ASSIGN_OR_RETURN(Value tools, ToolsValue(prompt.tools_json));
  jinja::Environment environment{
      .globals = {{"messages", std::move(list)},
                  {"add_generation_prompt", Value::Of(prompt.add_generation_prompt)},
                  {"tools", std::move(tools)},
                  {"documents", Value::MakeNone()}},
      .now_unix_seconds = options_.now_unix_seconds,
      .limits = options_.limits};
  const auto define = [&](const char* name, const std::optional<std::string>& text) {
    if (!text.has_value()) return;
    environment.globals.emplace_back(name, Value::Of(*text, Origin::kTemplate));
  };
  define("bos_token", options_.bos_token);
  define("eos_token", options_.eos_token);
  RETURN_IF_ERROR(AddArguments(prompt.arguments_json, environment.globals));
  ASSIGN_OR_RETURN(const jinja::Text text, jinja::Render(body_, environment));
  return ToSegments(text);
}

}  // namespace intactkv
