// Any bytes as what arrives on a connection: where the head ends, the framing checks, the head's
// parser, a chunked body. The answer must not depend on how the stream was cut into pieces, and
// what the framing check believes, the parser must be able to keep.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/check.h"
#include "server/http/chunked_body.h"
#include "server/http/framing.h"
#include "server/http/head_parser.h"

namespace {

using intactkv::ChunkedBody;

constexpr intactkv::FramingLimits kLimits = {.request_line_bytes = 128,
                                             .head_bytes = 1024,
                                             .num_fields = 8,
                                             .field_bytes = 256,
                                             .body_bytes = 4096};

struct Decoded {
  ChunkedBody::Result result = ChunkedBody::Result::kNeedMore;
  size_t used = 0;
  std::string body;
};

Decoded Decode(std::string_view bytes, size_t piece) {
  ChunkedBody decoder(kLimits.body_bytes);
  Decoded out;
  while (out.used < bytes.size() && out.result == ChunkedBody::Result::kNeedMore) {
    size_t consumed = 0;
    out.result = decoder.Feed(bytes.substr(out.used, piece), consumed, out.body);
    out.used += consumed;
  }
  return out;
}

void CheckChunked(std::string_view bytes) {
  const Decoded whole = Decode(bytes, bytes.size());
  const Decoded single = Decode(bytes, 1);
  CHECK(whole.result == single.result && whole.body == single.body && whole.used == single.used);
  CHECK(whole.body.size() <= kLimits.body_bytes);
}

// The end of the head as a connection finds it: piece after piece.
std::optional<size_t> EndInPieces(std::string_view stream, size_t piece) {
  for (size_t scanned = 0; scanned < stream.size();) {
    const std::string_view buffer = stream.substr(0, scanned + piece);
    if (const auto end = intactkv::FindHeadEnd(buffer, scanned)) return end;
    const auto error = intactkv::CheckPartialHead(buffer, scanned, kLimits);
    CHECK(!error.has_value() || (error->status >= 400 && error->status < 600));
    scanned = buffer.size();
  }
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  const std::optional<size_t> end = intactkv::FindHeadEnd(stream, 0);
  for (const size_t piece : {1u, 2u, 3u, 7u}) CHECK(EndInPieces(stream, piece) == end);
  if (!end.has_value()) return 0;
  const std::string_view head = stream.substr(0, *end);
  const auto framing = intactkv::CheckFraming(head, kLimits);
  if (const auto* error = std::get_if<intactkv::FramingError>(&framing)) {
    CHECK(error->status >= 400 && error->status < 600 && !error->message.empty());
    return 0;
  }
  const auto& believed = std::get<intactkv::Framing>(framing);
  CHECK(believed.content_length <= kLimits.body_bytes);
  CHECK(!believed.chunked || believed.content_length == 0);
  const std::optional<intactkv::HttpRequest> request = intactkv::ParseHead(head, kLimits);
  if (request.has_value()) {
    CHECK(!request->method.empty() && request->path.starts_with('/') && request->body.empty());
    CHECK(request->headers.size() <= kLimits.num_fields);
    CHECK(believed.chunked == !request->Header("transfer-encoding").empty());
  }
  if (believed.chunked) CheckChunked(stream.substr(*end));
  return 0;
}
