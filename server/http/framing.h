// The strict re-check of a request head's raw bytes, done before anything else believes them: what
// two parsers could read differently is refused. Rules: RFC 9112, and stricter where a lenient
// reading has been used for request smuggling. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace intactkv {

struct FramingLimits {
  size_t request_line_bytes = 4 << 10;
  size_t head_bytes = 16 << 10;  // request line, fields and the empty line
  size_t num_fields = 64;
  size_t field_bytes = 8 << 10;  // one line
  size_t body_bytes = 4 << 20;
};

// How the rest of the message is cut from the stream.
struct Framing {
  bool http_1_0 = false;
  bool keep_alive = true;
  bool chunked = false;
  size_t content_length = 0;  // when not chunked
  bool expect_continue = false;
};

// After one of these nothing on the connection can be trusted: answer and close.
struct FramingError {
  int status;                // 400, 413, 414, 415, 417, 431, 505
  std::string_view message;  // fixed words
};

// `head`: a whole head with its final CRLF CRLF.
std::variant<Framing, FramingError> CheckFraming(std::string_view head,
                                                 const FramingLimits& limits);

// Where the head in `buffer` ends (one past CRLF CRLF), or nullopt while it is incomplete.
// Everything before `scanned` was looked at by an earlier call.
std::optional<size_t> FindHeadEnd(std::string_view buffer, size_t scanned);

// For a head that is incomplete so far: what is wrong with it already (too long, a bare line feed,
// a NUL byte), else nullopt.
std::optional<FramingError> CheckPartialHead(std::string_view buffer, size_t scanned,
                                             const FramingLimits& limits);

}  // namespace intactkv
