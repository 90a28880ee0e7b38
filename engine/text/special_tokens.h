// The names of special and other added tokens, and where they stand in a text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Text that knows which of its bytes a chat template wrote.
struct MarkedText {
  std::string bytes;
  std::vector<bool> from_template;  // one per byte

  void Append(std::string_view text, bool is_from_template) {
    bytes += text;
    from_template.resize(bytes.size(), is_from_template);
  }
};

// Immutable, Thread-safe. Source: the `tokenizers` package, AddedVocabulary; with a text of mixed
// origin as with encode_special_tokens where the template did not write.
class SpecialTokens {
 public:
  using Normalize = std::function<std::string(std::string_view)>;
  // The control, unknown and user-defined tokens of `data`, which is valid.
  SpecialTokens(const TokenizerData& data, const Normalize& normalize);

  struct Match {
    size_t begin, length;  // bytes, with the white space that the token takes along
    TokenId token;
  };
  // The leftmost name at or behind `from`; the longest if several start there. All of its bytes
  // have one origin, and a control or unknown token is from the template.
  std::optional<Match> Find(const MarkedText& text, size_t from) const;
  // The same for the tokens that are looked for in normalized text; none of them is special.
  std::optional<Match> FindNormalized(std::string_view text, size_t from) const;

  // Control or unknown: not part of the text that a model says. User-defined tokens are.
  bool IsControl(TokenId token) const { return is_control_[static_cast<size_t>(token.value)]; }

 private:
  struct Name {
    std::string bytes;
    AddedTokenRule rule;
    bool is_control;
  };
  struct Names {
    std::vector<std::vector<Name>> by_first = std::vector<std::vector<Name>>(256);  // longest first
    std::string first_bytes;
    void Add(Name name);
    void Sort();
    // The longest one that begins at `pos`, or nullptr.
    const Name* At(std::string_view text, size_t pos) const;
  };

  static std::optional<Match> Place(std::string_view text, size_t from, size_t pos,
                                    const Name& name);

  Names raw_, normalized_;
  std::vector<bool> is_control_;
};

}  // namespace intactkv
