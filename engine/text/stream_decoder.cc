#include "engine/text/stream_decoder.h"

#include <utility>

#include "engine/text/utf8.h"

namespace intactkv {

Utf8StreamDecoder::Utf8StreamDecoder(std::function<std::string_view(TokenId)> text_of)
    : text_of_(std::move(text_of)) {}

std::string Utf8StreamDecoder::Feed(TokenId token) {
  pending_.append(text_of_(token));
  std::string out;
  size_t pos = 0;
  while (pos < pending_.size()) {
    const Utf8Char c = DecodeUtf8(pending_, pos);
    if (c.status == Utf8Status::kIncomplete) break;
    AppendUtf8(out, c.code_point);
    pos += c.length;
  }
  pending_.erase(0, pos);
  return out;
}

std::string Utf8StreamDecoder::Flush() { return ReplaceInvalidUtf8(std::exchange(pending_, {})); }

}  // namespace intactkv
