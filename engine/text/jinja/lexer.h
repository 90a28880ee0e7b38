// Template source -> tokens, with the white space control of Jinja at the settings
// trim_blocks = lstrip_blocks = true, keep_trailing_newline = false.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace intactkv::jinja {

enum class TokenKind {
  kText,           // text: what is written as it stands
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,   // text: the value
  kInteger,  // text: digits
  kFloat,
  kOperator,
  kEnd,  // always the last token
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;  // from 1
};

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

// kInvalidArgument: not a template; the message names the line.
absl::StatusOr<std::vector<Token>> Lex(std::string_view source);

}  // namespace intactkv::jinja
