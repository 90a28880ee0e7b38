// UTF-8 decoding that survives any bytes. Stateless.
// Source: The Unicode Standard 15.0, table 3-7 and "U+FFFD Substitution of Maximal Subparts".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace intactkv {

inline constexpr uint32_t kReplacementCharacter = 0xFFFD;

enum class Utf8Status {
  kValid,
  kInvalid,     // `length` bytes are a maximal ill-formed subpart: one U+FFFD
  kIncomplete,  // the text ends inside a sequence that is well-formed so far
};

struct Utf8Char {
  uint32_t code_point;  // kReplacementCharacter unless kValid
  size_t length;        // bytes, >= 1
  Utf8Status status;
};

// The character at text[pos]; pos < text.size().
Utf8Char DecodeUtf8(std::string_view text, size_t pos);

// Appends one code point; surrogates and values past U+10FFFF become U+FFFD.
void AppendUtf8(std::string& out, uint32_t code_point);

// `text` with each maximal ill-formed subpart replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace intactkv
