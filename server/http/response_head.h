// Status line and header fields of an answer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/http_types.h"

namespace intactkv {

struct ResponseHead {
  int status = 200;
  std::string_view content_type = {};
  std::string_view request_id = {};
  std::optional<size_t> content_length = std::nullopt;  // absent: the body has no known length
  bool chunked = false;
  bool close = false;       // Connection: close
  bool keep_alive = false;  // says so to an HTTP/1.0 client
};

// Ends with the empty line. `headers` must hold no line breaks.
std::string RenderHead(const ResponseHead& head, const std::vector<HttpHeader>& headers);

// A fresh request id: "req-" and 24 hex digits. Thread-safe.
std::string NewRequestId();
// 1 to 128 printable ASCII characters: what is echoed of a client's X-Request-Id.
bool IsGoodRequestId(std::string_view id);

}  // namespace intactkv
