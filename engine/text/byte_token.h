// The tokens that stand for one byte in vocabularies of characters: "<0x0A>".
#pragma once

#include <optional>
#include <string_view>

namespace intactkv {

// The byte; nullopt: `token` is no such name.
inline std::optional<unsigned char> ByteOfToken(std::string_view token) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const size_t high = kDigits.find(token[3]), low = kDigits.find(token[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned char>(high * 16 + low);
}

}  // namespace intactkv
