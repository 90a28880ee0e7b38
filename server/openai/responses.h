// Small answers: a JSON body, or a RequestError in HTTP's clothes.
#pragma once

#include <string>
#include <utility>

#include "server/http/error_response.h"
#include "server/http/http_types.h"
#include "server/request/request_error.h"

namespace intactkv {

inline HttpResponse JsonResponse(std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// Views into `error`, which must outlive the result.
inline HttpError ToHttpError(const RequestError& error) {
  return {.status = error.http_status,
          .type = error.type,
          .code = error.code,
          .param = error.param,
          .message = error.message,
          .retry_after_seconds = error.retry_after_seconds,
          .retryable = error.retryable};
}

inline HttpResponse ToResponse(const RequestError& error) {
  return ErrorResponse(ToHttpError(error));
}

}  // namespace intactkv
