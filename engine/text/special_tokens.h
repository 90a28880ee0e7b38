// The names of special tokens, and where they stand in a text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/ids.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Immutable, Thread-safe.
class SpecialTokens {
 public:
  // The control, unknown and user-defined tokens of `data`, which is valid.
  explicit SpecialTokens(const TokenizerData& data);

  struct Match {
    size_t begin, length;  // bytes
    TokenId token;
  };
  // The leftmost name in `text` at or behind `from`; the longest if several start there.
  std::optional<Match> Find(std::string_view text, size_t from) const;

  // Control or unknown: not part of the text that a model says. User-defined tokens are.
  bool IsControl(TokenId token) const { return is_control_[static_cast<size_t>(token.value)]; }

 private:
  std::vector<std::vector<std::pair<std::string, TokenId>>> names_;  // by first byte, longest first
  std::string first_bytes_;                                          // of all names
  std::vector<bool> is_control_;
};

}  // namespace intactkv
