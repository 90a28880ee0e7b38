// A model's chat template: messages -> text that knows which parts the template itself wrote.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/api/text_codec.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/budget.h"

namespace intactkv {

// A run of rendered text with one origin.
struct Segment {
  std::string text;
  bool from_template;  // false: came from a message, whatever the template did to it
  friend bool operator==(const Segment&, const Segment&) = default;
};

// What stays the same from request to request.
struct ChatTemplateOptions {
  std::optional<std::string> bos_token, eos_token;  // undefined in the template if absent
  int64_t now_unix_seconds = 0;                     // strftime_now(), in UTC: frozen by the caller
  jinja::Limits limits = {};                        // of one rendering
};

// Immutable, Thread-safe. Behaves as transformers' apply_chat_template: trim_blocks, lstrip_blocks,
// loop controls, tojson without HTML escapes; `tools` is None without tools, `documents` always.
class ChatTemplate {
 public:
  // kInvalidArgument: no template, kUnimplemented: outside our subset of Jinja; both with the line.
  static absl::StatusOr<ChatTemplate> Compile(std::string_view source, ChatTemplateOptions options);

  // Adjacent segments have different origins. kInvalidArgument: the template refuses the messages
  // (the message is its raise_exception() text) or fails on them; kResourceExhausted: over a limit.
  absl::StatusOr<std::vector<Segment>> Render(const ChatPrompt& prompt) const;

 private:
  ChatTemplate(jinja::Body body, ChatTemplateOptions options);

  jinja::Body body_;
  ChatTemplateOptions options_;
};

}  // namespace intactkv
