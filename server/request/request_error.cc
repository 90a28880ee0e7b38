#include "server/request/request_error.h"

#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

constexpr int kRetryAfterSeconds = 1;

RequestError BadRequest(std::string_view code, std::string_view param, std::string message) {
  RequestError error;
  error.code = code;
  error.param = param;
  error.message = std::move(message);
  return error;
}

RequestError ServerSide(int http_status, std::string_view code, std::string message) {
  RequestError error;
  error.http_status = http_status;
  error.type = "server_error";
  error.code = code;
  error.message = std::move(message);
  return error;
}

RequestError RetryLater(RequestError error) {
  error.retry_after_seconds = kRetryAfterSeconds;
  return error;
}

std::string Quoted(std::string_view param) { return "'" + std::string(param) + "'"; }

}  // namespace

RequestError InvalidValue(std::string_view param, std::string_view message) {
  return BadRequest("invalid_value", param, Quoted(param) + " " + std::string(message));
}

RequestError MissingParameter(std::string_view param) {
  return BadRequest("missing_required_parameter", param,
                    "Missing required parameter " + Quoted(param) + ".");
}

RequestError UnsupportedParameter(std::string_view param) {
  return BadRequest("unsupported_parameter", param,
                    Quoted(param) +
                        " is not supported by this server with the given value. "
                        "Leave it out.");
}

RequestError InvalidType(std::string_view param, std::string_view expected) {
  return BadRequest("invalid_type", param,
                    Quoted(param) + " has the wrong type: expected " + std::string(expected) + ".");
}

RequestError ModelNotFound() {
  RequestError error = BadRequest("model_not_found", "model",
                                  "This server does not serve that model. GET /v1/models lists "
                                  "what it serves.");
  error.http_status = 404;
  return error;
}

RequestError ContextLengthExceeded(std::string_view param, int64_t prompt_tokens,
                                   int64_t max_tokens, int64_t context) {
  return BadRequest("context_length_exceeded", param,
                    "The context holds " + std::to_string(context) + " tokens; the prompt has " +
                        std::to_string(prompt_tokens) + " and " + std::to_string(max_tokens) +
                        " more were asked for. Shorten the prompt or lower max_tokens.");
}

RequestError PromptTooManyBytes(std::string_view param, int64_t bytes, int64_t context) {
  return BadRequest("context_length_exceeded", param,
                    "The context holds " + std::to_string(context) + " tokens, and no text of " +
                        std::to_string(bytes) + " bytes has so few. Shorten the prompt.");
}

RequestError NeverFitsThePool(std::string_view prompt_param, std::string_view max_tokens_param,
                              std::string_view detail) {
  return BadRequest("context_length_exceeded", prompt_param,
                    "This server's memory can never hold the request: " + std::string(detail) +
                        ". Shorten " + Quoted(prompt_param) + " or give a lower " +
                        Quoted(max_tokens_param) + ".");
}

RequestError QueueFullError() {
  RequestError error =
      ServerSide(429, "queue_full", "Too many requests are waiting. Try again after Retry-After.");
  error.type = "rate_limit_error";
  return RetryLater(error);
}

RequestError LoadingError() {
  return RetryLater(ServerSide(503, "loading", "The model is still loading. Try again shortly."));
}

RequestError StalledError() {
  return RetryLater(
      ServerSide(503, "engine_stalled", "The engine makes no progress. Try another server."));
}

RequestError DrainingError() {
  return RetryLater(
      ServerSide(503, "draining", "The server is shutting down. Try another one, or again later."));
}

RequestError ErrorFromStatus(const absl::Status& status) {
  const std::string message(ToStd(status.message()));
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
      return BadRequest("invalid_value", "", message);
    case absl::StatusCode::kNotFound: {
      RequestError error = BadRequest("not_found", "", message);
      error.http_status = 404;
      return error;
    }
    case absl::StatusCode::kResourceExhausted:
      return QueueFullError();
    case absl::StatusCode::kCancelled:
      return ServerSide(499, "cancelled", "The request was cancelled.");
    case absl::StatusCode::kUnimplemented:
      return ServerSide(501, "not_implemented", "This server does not do that.");
    case absl::StatusCode::kUnavailable:
      return DrainingError();
    case absl::StatusCode::kDeadlineExceeded: {
      RequestError error =
          ServerSide(504, "deadline_exceeded", "The request did not finish within its time limit.");
      error.retryable = false;
      return error;
    }
    default:
      return ServerSide(500, "server_error", "The server failed on this request.");
  }
}

absl::StatusCode StatusCodeOf(const RequestError& error) {
  switch (error.http_status) {
    case 404:
      return absl::StatusCode::kNotFound;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 499:
      return absl::StatusCode::kCancelled;
    case 501:
      return absl::StatusCode::kUnimplemented;
    case 503:
      return absl::StatusCode::kUnavailable;
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return error.http_status >= 500 ? absl::StatusCode::kInternal
                                      : absl::StatusCode::kInvalidArgument;
  }
}

}  // namespace intactkv
