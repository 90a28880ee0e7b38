#include "engine/text/special_tokens.h"

#include <algorithm>

namespace intactkv {

SpecialTokens::SpecialTokens(const TokenizerData& data) : names_(256) {
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const auto type = static_cast<TokenType>(data.token_types[i]);
    const bool control = type == TokenType::kControl || type == TokenType::kUnknown;
    is_control_.push_back(control);
    if (!control && type != TokenType::kUserDefined) continue;
    const std::string& name = data.tokens[i];
    auto& bucket = names_[static_cast<unsigned char>(name[0])];
    if (bucket.empty()) first_bytes_.push_back(name[0]);
    bucket.emplace_back(name, TokenId(static_cast<int32_t>(i)));
  }
  for (auto& bucket : names_) {
    // Names of one size differ, so their order does not matter.
    std::sort(bucket.begin(), bucket.end(),
              [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  }
}

std::optional<SpecialTokens::Match> SpecialTokens::Find(std::string_view text, size_t from) const {
  for (size_t pos = text.find_first_of(first_bytes_, from); pos != std::string_view::npos;
       pos = text.find_first_of(first_bytes_, pos + 1)) {
    for (const auto& [name, token] : names_[static_cast<unsigned char>(text[pos])]) {
      if (text.compare(pos, name.size(), name) == 0) {
        return Match{.begin = pos, .length = name.size(), .token = token};
      }
    }
  }
  return std::nullopt;
}

}  // namespace intactkv
