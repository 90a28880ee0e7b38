#include "server/http/framing.h"

#include <algorithm>
#include <charconv>

#include "server/http/http_types.h"

namespace intactkv {
namespace {

using Fault = std::optional<FramingError>;
constexpr std::string_view kCrlf = "\r\n";

bool IsTokenChar(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// True if `list`, comma-separated, holds `word`.
bool ListHas(std::string_view list, std::string_view word) {
  while (true) {
    const size_t comma = list.find(',');
    if (EqualIgnoringCase(Trim(list.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

// What the fields say that matters for framing.
struct Seen {
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  bool close = false;
  bool keep_alive = false;
};

Fault CheckRequestLine(std::string_view line, std::string_view& method, Framing& framing) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return FramingError{400, "The request line is malformed."};
  }
  method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  const bool printable =
      std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!IsToken(method) || target.empty() || !printable) {
    return FramingError{400, "The request line is malformed."};
  }
  if (target.front() != '/') return FramingError{400, "The request target must begin with '/'."};
  if (!version.starts_with("HTTP/")) return FramingError{400, "The request line is malformed."};
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return FramingError{505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
  }
  framing.http_1_0 = version == "HTTP/1.0";
  return std::nullopt;
}

Fault ReadContentLength(std::string_view value, const FramingLimits& limits, Framing& framing) {
  const bool digits = !value.empty() && std::all_of(value.begin(), value.end(),
                                                    [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return FramingError{400, "Content-Length must be one decimal number."};
  size_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error != std::errc()) return FramingError{400, "Content-Length is out of range."};
  if (length > limits.body_bytes) return FramingError{413, "The request body is too large."};
  framing.content_length = length;
  return std::nullopt;
}

Fault ReadField(std::string_view line, const FramingLimits& limits, Seen& seen, Framing& framing) {
  if (line.size() > limits.field_bytes) return FramingError{431, "A header field is too large."};
  const size_t colon = line.find(':');
  // A line that begins with a space continues the one before (obs-fold): not a token, so refused.
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) {
    return FramingError{400, "A header field is malformed."};
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = Trim(line.substr(colon + 1));
  for (const char c : value) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
      return FramingError{400, "A header field holds a control character."};
    }
  }
  if (EqualIgnoringCase(name, "Host")) {
    ++seen.hosts;
  } else if (EqualIgnoringCase(name, "Content-Length")) {
    ++seen.lengths;
    return ReadContentLength(value, limits, framing);
  } else if (EqualIgnoringCase(name, "Transfer-Encoding")) {
    ++seen.encodings;
    if (!EqualIgnoringCase(value, "chunked")) {
      return FramingError{400, "Transfer-Encoding must be exactly 'chunked'."};
    }
    framing.chunked = true;
  } else if (EqualIgnoringCase(name, "Connection")) {
    seen.close = seen.close || ListHas(value, "close");
    seen.keep_alive = seen.keep_alive || ListHas(value, "keep-alive");
  } else if (EqualIgnoringCase(name, "Expect")) {
    if (!EqualIgnoringCase(value, "100-continue")) {
      return FramingError{417, "Only 'Expect: 100-continue' is understood."};
    }
    framing.expect_continue = true;
  } else if (EqualIgnoringCase(name, "Content-Encoding") && !EqualIgnoringCase(value, "identity")) {
    return FramingError{415, "Compressed request bodies are not accepted."};
  }
  return std::nullopt;
}

Fault CheckWhole(std::string_view method, const Seen& seen, const Framing& framing) {
  if (seen.hosts > 1) return FramingError{400, "There is more than one Host field."};
  if (seen.hosts == 0 && !framing.http_1_0) return FramingError{400, "The Host field is missing."};
  if (seen.lengths > 1) return FramingError{400, "There is more than one Content-Length field."};
  if (seen.encodings > 1) {
    return FramingError{400, "There is more than one Transfer-Encoding field."};
  }
  if (seen.encodings > 0 && seen.lengths > 0) {
    return FramingError{400, "Content-Length and Transfer-Encoding exclude each other."};
  }
  if (seen.encodings > 0 && framing.http_1_0) {
    return FramingError{400, "HTTP/1.0 has no Transfer-Encoding."};
  }
  const bool has_body = framing.chunked || framing.content_length > 0;
  const bool takes_body = method == "POST" || method == "PUT" || method == "PATCH";
  if (has_body && !takes_body) return FramingError{400, "This method takes no body."};
  return std::nullopt;
}

}  // namespace

std::variant<Framing, FramingError> CheckFraming(std::string_view head,
                                                 const FramingLimits& limits) {
  if (Fault fault = CheckPartialHead(head, 0, limits)) return *fault;
  Framing framing;
  Seen seen;
  std::string_view method;
  size_t end = head.find(kCrlf);
  if (end > limits.request_line_bytes) return FramingError{414, "The request line is too long."};
  if (Fault fault = CheckRequestLine(head.substr(0, end), method, framing)) return *fault;
  std::string_view rest = head.substr(end + 2);
  for (size_t fields = 0; !rest.starts_with(kCrlf); ++fields) {
    if (fields == limits.num_fields) return FramingError{431, "There are too many header fields."};
    end = rest.find(kCrlf);
    if (Fault fault = ReadField(rest.substr(0, end), limits, seen, framing)) return *fault;
    rest.remove_prefix(end + 2);
  }
  if (Fault fault = CheckWhole(method, seen, framing)) return *fault;
  // HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1).
  framing.expect_continue = framing.expect_continue && !framing.http_1_0;
  framing.keep_alive = framing.http_1_0 ? seen.keep_alive && !seen.close : !seen.close;
  return framing;
}

std::optional<size_t> FindHeadEnd(std::string_view buffer, size_t scanned) {
  const size_t at = buffer.find("\r\n\r\n", scanned < 3 ? 0 : scanned - 3);
  if (at == std::string_view::npos) return std::nullopt;
  return at + 4;
}

std::optional<FramingError> CheckPartialHead(std::string_view buffer, size_t scanned,
                                             const FramingLimits& limits) {
  for (size_t i = scanned; i < buffer.size(); ++i) {
    const char c = buffer[i];
    const bool bare_lf = c == '\n' && (i == 0 || buffer[i - 1] != '\r');
    const bool bare_cr = i > 0 && buffer[i - 1] == '\r' && c != '\n';
    if (c == '\0' || bare_lf || bare_cr) {
      return FramingError{400, "The request head holds a bare line break or a NUL byte."};
    }
  }
  // A line at the limit whose CRLF has come by half is not too long yet.
  const std::string_view line = buffer.substr(0, limits.request_line_bytes + kCrlf.size());
  if (line.size() == limits.request_line_bytes + kCrlf.size() &&
      line.find(kCrlf) == std::string_view::npos) {
    return FramingError{414, "The request line is too long."};
  }
  if (buffer.size() > limits.head_bytes) return FramingError{431, "The request head is too large."};
  return std::nullopt;
}

}  // namespace intactkv
