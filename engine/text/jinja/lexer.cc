#include "engine/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace intactkv::jinja {

namespace {

bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

// \r\n and \r become \n; one \n at the very end goes.
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeNewlines(source)) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (pos_ < source_.size()) RETURN_IF_ERROR(LexText());
    Emit(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  absl::Status Error(std::string_view what) const {
    return InvalidArgument("chat template line " + std::to_string(line_) + ": " +
                           std::string(what));
  }

  char At(size_t pos) const { return pos < source_.size() ? source_[pos] : '\0'; }
  bool StartsWith(std::string_view s) const { return source_.compare(pos_, s.size(), s) == 0; }
  void Emit(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void AdvanceTo(size_t pos) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(pos), '\n'));
    pos_ = pos;
  }

  size_t SkipSpace(size_t pos) const {
    while (pos < source_.size()) {
      const Utf8Char c = DecodeUtf8(source_, pos);
      if (!unicode::IsPythonSpace(c.code_point)) break;
      pos += c.length;
    }
    return pos;
  }

  size_t FindTag(size_t pos) const {
    for (; pos + 1 < source_.size(); ++pos) {
      const char next = source_[pos + 1];
      if (source_[pos] == '{' && (next == '{' || next == '%' || next == '#')) return pos;
    }
    return source_.size();
  }

  // The end of the text in front of a tag at `tag`, after {%- or lstrip_blocks took their part.
  size_t TextEnd(size_t tag) const {
    const char sign = At(tag + 2);
    if (sign == '-') {
      size_t end = pos_, pos = pos_;
      while (pos < tag) {
        const Utf8Char c = DecodeUtf8(source_, pos);
        pos += c.length;
        if (!unicode::IsPythonSpace(c.code_point)) end = pos;
      }
      return end;
    }
    if (sign == '+' || At(tag + 1) == '{') return tag;
    size_t line_start = pos_;
    for (size_t i = pos_; i < tag; ++i) {
      if (source_[i] == '\n') line_start = i + 1;
    }
    if (line_start == pos_ && !line_starting_) return tag;
    return SkipSpace(line_start) >= tag ? line_start : tag;
  }

  absl::Status LexText() {
    const size_t tag = FindTag(pos_);
    const size_t end = tag == source_.size() ? tag : TextEnd(tag);
    if (end > pos_) Emit(TokenKind::kText, source_.substr(pos_, end - pos_));
    AdvanceTo(tag);
    if (tag == source_.size()) return absl::OkStatus();
    const bool has_sign = At(tag + 2) == '-' || At(tag + 2) == '+';
    AdvanceTo(tag + (has_sign ? 3 : 2));
    switch (source_[tag + 1]) {
      case '#':
        return SkipComment();
      case '{':
        Emit(TokenKind::kVariableBegin, "");
        return LexCode("}}", TokenKind::kVariableEnd);
      default:
        if (AtRaw()) return LexRaw();
        Emit(TokenKind::kBlockBegin, "");
        return LexCode("%}", TokenKind::kBlockEnd);
    }
  }

  // The position behind an end tag at `pos`, with the white space that it takes along; npos if no
  // end tag stands there.
  size_t EndTag(size_t pos, std::string_view close) const {
    const bool block = close != "}}";
    const char sign = At(pos);
    if (source_.compare(pos, close.size(), close) == 0) {
      pos += close.size();
      return block && At(pos) == '\n' ? pos + 1 : pos;
    }
    if (sign != '-' && !(sign == '+' && block)) return std::string::npos;
    if (source_.compare(pos + 1, close.size(), close) != 0) return std::string::npos;
    pos += 1 + close.size();
    return sign == '-' ? SkipSpace(pos) : pos;
  }

  void CloseTag(size_t end) {
    AdvanceTo(end);
    line_starting_ = source_[end - 1] == '\n';
  }

  absl::Status SkipComment() {
    for (size_t pos = pos_; pos < source_.size(); ++pos) {
      if (const size_t end = EndTag(pos, "#}"); end != std::string::npos) {
        CloseTag(end);
        return absl::OkStatus();
      }
    }
    return Error("comment without an end");
  }

  bool AtRaw() const {
    const size_t name = SkipSpace(pos_);
    if (source_.compare(name, 3, "raw") != 0) return false;
    return EndTag(SkipSpace(name + 3), "%}") != std::string::npos;
  }

  absl::Status LexRaw() {
    size_t begin = SkipSpace(SkipSpace(pos_) + 3);
    begin = At(begin) == '-' ? SkipSpace(begin + 3) : begin + (At(begin) == '+' ? 3 : 2);
    for (size_t tag = FindTag(begin); tag < source_.size(); tag = FindTag(tag + 1)) {
      const bool has_sign = At(tag + 2) == '-' || At(tag + 2) == '+';
      const size_t name = SkipSpace(tag + (has_sign ? 3 : 2));
      if (source_[tag + 1] != '%' || source_.compare(name, 6, "endraw") != 0) continue;
      const size_t end = EndTag(SkipSpace(name + 6), "%}");
      if (end == std::string::npos) continue;
      AdvanceTo(begin);
      line_starting_ = false;
      Emit(TokenKind::kText, source_.substr(begin, TextEnd(tag) - begin));
      CloseTag(end);
      return absl::OkStatus();
    }
    return Error("raw block without an end");
  }

  absl::Status LexCode(std::string_view close, TokenKind end_kind) {
    std::string open;  // brackets not closed yet
    for (;;) {
      AdvanceTo(SkipSpace(pos_));
      if (pos_ >= source_.size()) return Error("tag without an end");
      if (open.empty()) {
        if (const size_t end = EndTag(pos_, close); end != std::string::npos) {
          Emit(end_kind, "");
          CloseTag(end);
          return absl::OkStatus();
        }
      }
      RETURN_IF_ERROR(LexToken(open));
    }
  }

  absl::Status LexToken(std::string& open) {
    const char c = source_[pos_];
    if (IsAlpha(c)) {
      size_t end = pos_;
      while (IsAlpha(At(end)) || IsDecimal(At(end))) ++end;
      return Take(TokenKind::kName, end);
    }
    if (IsDecimal(c)) return LexNumber();
    if (c == '"' || c == '\'') return LexString(c);
    return LexOperator(open);
  }

  absl::Status Take(TokenKind kind, size_t end) {
    Emit(kind, source_.substr(pos_, end - pos_));
    AdvanceTo(end);
    return absl::OkStatus();
  }

  absl::Status LexNumber() {
    size_t end = pos_;
    bool is_float = false;
    while (IsDecimal(At(end))) ++end;
    const char before = pos_ == 0 ? '\0' : source_[pos_ - 1];
    if (before != '.' && At(end) == '.' && IsDecimal(At(end + 1))) {
      is_float = true;
      for (++end; IsDecimal(At(end));) ++end;
    }
    size_t exponent = end;
    if (At(exponent) == 'e' || At(exponent) == 'E') {
      ++exponent;
      if (At(exponent) == '+' || At(exponent) == '-') ++exponent;
      if (IsDecimal(At(exponent))) {
        is_float = true;
        for (end = exponent; IsDecimal(At(end));) ++end;
      }
    }
    if (IsAlpha(At(end))) return Error("malformed number");
    return Take(is_float ? TokenKind::kFloat : TokenKind::kInteger, end);
  }

  absl::Status LexString(char quote) {
    std::string value;
    size_t pos = pos_ + 1;
    while (pos < source_.size() && source_[pos] != quote) {
      if (source_[pos] != '\\') {
        value.push_back(source_[pos++]);
      } else if (const absl::Status status = Unescape(pos, value); !status.ok()) {
        return status;
      }
    }
    if (pos >= source_.size()) return Error("string without an end");
    Emit(TokenKind::kString, std::move(value));
    AdvanceTo(pos + 1);
    return absl::OkStatus();
  }

  // Python's escapes; `pos` stands on the backslash and moves behind the escape.
  absl::Status Unescape(size_t& pos, std::string& value) const {
    static constexpr std::string_view kNames = "ntr\\'\"abfv\n";
    static constexpr std::string_view kBytes = "\n\t\r\\'\"\a\b\f\v";
    const char c = At(pos + 1);
    if (const size_t i = kNames.find(c); i != std::string_view::npos && pos + 1 < source_.size()) {
      if (i < kBytes.size()) value.push_back(kBytes[i]);
      pos += 2;
      return absl::OkStatus();
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      if (c >= '0' && c <= '7') return UnescapeOctal(pos, value);
      value.push_back('\\');
      ++pos;
      return absl::OkStatus();
    }
    uint32_t code_point = 0;
    for (size_t i = 0; i < digits; ++i) {
      const size_t digit =
          std::string_view("0123456789abcdef")
              .find(static_cast<char>(At(pos + 2 + i) | (IsAlpha(At(pos + 2 + i)) ? 0x20 : 0)));
      if (digit == std::string_view::npos) return Error("malformed escape");
      code_point = code_point << 4 | static_cast<uint32_t>(digit);
    }
    AppendUtf8(value, code_point);
    pos += 2 + digits;
    return absl::OkStatus();
  }

  absl::Status UnescapeOctal(size_t& pos, std::string& value) const {
    uint32_t code_point = 0;
    size_t i = 1;
    for (; i <= 3 && At(pos + i) >= '0' && At(pos + i) <= '7'; ++i) {
      code_point = code_point * 8 + static_cast<uint32_t>(At(pos + i) - '0');
    }
    AppendUtf8(value, code_point);
    pos += i;
    return absl::OkStatus();
  }

  absl::Status LexOperator(std::string& open) {
    static constexpr std::array<std::string_view, 6> kTwo = {"//", "**", "==", "!=", "<=", ">="};
    for (const std::string_view op : kTwo) {
      if (StartsWith(op)) return Take(TokenKind::kOperator, pos_ + 2);
    }
    const char c = source_[pos_];
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos || c == '\0') {
      return Error("unexpected character");
    }
    const size_t closes = std::string_view(")]}").find(c);
    if (closes != std::string_view::npos) {
      if (open.empty() || open.back() != "([{"[closes]) return Error("bracket does not match");
      open.pop_back();
    } else if (c == '(' || c == '[' || c == '{') {
      open.push_back(c);
    }
    return Take(TokenKind::kOperator, pos_ + 1);
  }

  const std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // what was read last ends a line
  std::vector<Token> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Lex(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) return InvalidArgument("chat template: over 1 MiB");
  return Lexer(source).Run();
}

}  // namespace intactkv::jinja
