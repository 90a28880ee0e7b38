// Token stream -> text that can be sent at once: no broken UTF-8 leaves it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/api/text_codec.h"

namespace intactkv {

// Holds back at most 3 bytes: the beginning of a character. Ill-formed bytes become U+FFFD, one per
// maximal subpart, so that all its output together is ReplaceInvalidUtf8() of all bytes together.
// Thread-compatible.
class Utf8StreamDecoder final : public StreamDecoder {
 public:
  // `text_of`: the bytes of a token, "" for one without text. What it captures outlives this
  // object.
  explicit Utf8StreamDecoder(std::function<std::string_view(TokenId)> text_of);
  std::string Feed(TokenId token) override;
  std::string Flush() override;

 private:
  std::function<std::string_view(TokenId)> text_of_;
  std::string pending_;  // well-formed so far, incomplete
};

}  // namespace intactkv
