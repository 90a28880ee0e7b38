// What a client is told when its request fails: one shape for REST and gRPC, in OpenAI's words.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"

namespace intactkv {

// The text is fixed words plus field names and numbers: nothing of the request's own strings.
struct RequestError {
  int http_status = 400;
  std::string type = "invalid_request_error";
  std::string code;             // "" is null on the wire
  std::string param;            // the field at fault, e.g. "messages[0].role"; "" is null
  std::string message;          // one or two sentences for a person
  int retry_after_seconds = 0;  // > 0: sent as Retry-After
  bool retryable = true;        // false: x-should-retry: false

  friend bool operator==(const RequestError&, const RequestError&) = default;
};

// A value or the error that the client gets. Plain value.
template <typename T>
class [[nodiscard]] RequestOr {
 public:
  RequestOr(T value) : state_(std::move(value)) {}             // NOLINT: as StatusOr
  RequestOr(RequestError error) : state_(std::move(error)) {}  // NOLINT
  bool ok() const { return state_.index() == 0; }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const RequestError& error() const { return std::get<1>(state_); }
  const T* operator->() const { return &value(); }
  const T& operator*() const { return value(); }

 private:
  std::variant<T, RequestError> state_;
};

// 400 invalid_value | missing_required_parameter | unsupported_parameter | invalid_type.
RequestError InvalidValue(std::string_view param, std::string_view message);
RequestError MissingParameter(std::string_view param);
RequestError UnsupportedParameter(std::string_view param);
RequestError InvalidType(std::string_view param, std::string_view expected);
// 404 model_not_found.
RequestError ModelNotFound();
// 400 context_length_exceeded. `param`: the prompt's field, or max_tokens when the prompt alone
// would fit.
RequestError ContextLengthExceeded(std::string_view param, int64_t prompt_tokens,
                                   int64_t max_tokens, int64_t context);
// The same, for a text that is too long to be worth counting its tokens.
RequestError PromptTooManyBytes(std::string_view param, int64_t bytes, int64_t context);
// The same, when it is the KV pool that is too small; `detail`: the numbers, in the engine's words.
RequestError NeverFitsThePool(std::string_view prompt_param, std::string_view max_tokens_param,
                              std::string_view detail);
// 429 queue_full, with Retry-After.
RequestError QueueFullError();
// 503 engine_stalled: a step hangs.
RequestError StalledError();
// 503 loading | draining, both with Retry-After.
RequestError LoadingError();
RequestError DrainingError();

// The one switch from the engine's words to the client's: 400 (InvalidArgument, OutOfRange,
// FailedPrecondition), 404, 429 queue_full (ResourceExhausted), 499, 501, 503 (Unavailable), 504,
// else 500. The message of a 500 is fixed: nothing internal leaves.
RequestError ErrorFromStatus(const absl::Status& status);

// The gRPC code (numerically absl's) of an error: 400 -> InvalidArgument, 404 -> NotFound, 429 ->
// ResourceExhausted, 499 -> Cancelled, 501 -> Unimplemented, 503 -> Unavailable, 504 ->
// DeadlineExceeded, else Internal.
absl::StatusCode StatusCodeOf(const RequestError& error);

}  // namespace intactkv
