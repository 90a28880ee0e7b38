#include "engine/text/byte_alphabet.h"

#include "engine/text/utf8.h"

namespace intactkv {

// A byte is itself where it is printable, else the next character from U+0100 upwards.
ByteAlphabet::ByteAlphabet() {
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    const uint32_t letter = printable ? b : next++;
    AppendUtf8(letters_[b], letter);
    byte_of_[letter] = static_cast<char>(b);
  }
}

std::optional<std::string> ByteAlphabet::Spelled(std::string_view token) const {
  std::string bytes;
  for (size_t pos = 0; pos < token.size();) {
    const Utf8Char c = DecodeUtf8(token, pos);
    const auto it = byte_of_.find(c.code_point);
    if (c.status != Utf8Status::kValid || it == byte_of_.end()) return std::nullopt;
    bytes.push_back(it->second);
    pos += c.length;
  }
  return bytes;
}

}  // namespace intactkv
