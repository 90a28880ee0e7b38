// The 256 printable characters in which byte-level vocabularies spell bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace intactkv {

// Immutable, Thread-safe. Source: GPT-2's bytes_to_unicode.
class ByteAlphabet {
 public:
  ByteAlphabet();
  // The one-character token of a byte, as UTF-8.
  const std::string& Letter(unsigned char byte) const { return letters_[byte]; }
  // The bytes that `token` spells; nullopt if it uses another character.
  std::optional<std::string> Spelled(std::string_view token) const;

 private:
  std::array<std::string, 256> letters_;
  absl::flat_hash_map<uint32_t, char> byte_of_;
};

}  // namespace intactkv
