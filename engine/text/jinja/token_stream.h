// A cursor over tokens, shared by the two halves of the parser.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/status_macros.h"
#include "engine/text/jinja/lexer.h"

namespace intactkv::jinja {

// Thread-compatible. Never moves past the final kEnd.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(pos_ + ahead, tokens_.size() - 1)];
  }
  const Token& Next() {
    const Token& token = Peek();
    if (pos_ + 1 < tokens_.size()) ++pos_;
    return token;
  }
  bool Is(TokenKind kind, std::string_view text = {}) const {
    return Peek().kind == kind && (text.empty() || Peek().text == text);
  }
  bool IsOperator(std::string_view text) const { return Is(TokenKind::kOperator, text); }
  bool IsName(std::string_view text) const { return Is(TokenKind::kName, text); }
  bool Skip(TokenKind kind, std::string_view text = {}) {
    if (!Is(kind, text)) return false;
    Next();
    return true;
  }
  bool SkipOperator(std::string_view text) { return Skip(TokenKind::kOperator, text); }
  bool SkipName(std::string_view text) { return Skip(TokenKind::kName, text); }

  absl::Status Expect(TokenKind kind, std::string_view text, std::string_view what) {
    if (Skip(kind, text)) return absl::OkStatus();
    return Error("expected " + std::string(what));
  }
  absl::Status ExpectOperator(std::string_view text) {
    return Expect(TokenKind::kOperator, text, "'" + std::string(text) + "'");
  }
  absl::Status ExpectBlockEnd() { return Expect(TokenKind::kBlockEnd, {}, "'%}'"); }

  std::string Where() const { return "chat template line " + std::to_string(Peek().line) + ": "; }
  absl::Status Error(std::string_view what) const {
    return InvalidArgument(Where() + std::string(what));
  }

 private:
  std::vector<Token> tokens_;
  size_t pos_ = 0;
};

// Counts the parser's own recursion: `if (DepthGuard guard(depth); guard.too_deep()) ...`.
class DepthGuard {
 public:
  explicit DepthGuard(int& depth) : depth_(depth) { ++depth_; }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  bool too_deep() const { return depth_ > 100; }

 private:
  int& depth_;
};

}  // namespace intactkv::jinja
