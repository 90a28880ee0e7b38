// The body and headers of every error answer: {"error":{"message","type","param","code"}}.
#pragma once

#include <string>
#include <string_view>

#include "server/http/http_types.h"

namespace intactkv {

struct HttpError {
  int status = 400;
  std::string_view type = "invalid_request_error";
  std::string_view code = {};   // "" is null
  std::string_view param = {};  // "" is null
  std::string_view message = {};
  int retry_after_seconds = 0;  // > 0: Retry-After
  bool retryable = true;        // false: x-should-retry: false
};

// The JSON object, on one line; also the data of an error event in a stream.
std::string ErrorJson(const HttpError& error);
HttpResponse ErrorResponse(const HttpError& error);

}  // namespace intactkv
