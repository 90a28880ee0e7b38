// Makes byte strings of tokens fit for JSON and protobuf, which carry UTF-8 only. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace intactkv {

// `bytes` with each byte that is not part of a well-formed sequence (RFC 3629) as U+FFFD.
std::string ToValidUtf8(std::string_view bytes);
bool IsValidUtf8(std::string_view bytes);
// Number of bytes that begin a character.
size_t CountCharacters(std::string_view bytes);

}  // namespace intactkv
