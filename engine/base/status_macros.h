// RETURN_IF_ERROR and ASSIGN_OR_RETURN, which Debian's Abseil does not ship.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace intactkv {

// Debian 12's absl::string_view is not std::string_view; our interfaces use std types and convert
// here.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

inline absl::Status InvalidArgument(std::string_view m) {
  return absl::InvalidArgumentError(ToAbsl(m));
}
inline absl::Status FailedPrecondition(std::string_view m) {
  return absl::FailedPreconditionError(ToAbsl(m));
}
inline absl::Status NotFound(std::string_view m) { return absl::NotFoundError(ToAbsl(m)); }
inline absl::Status ResourceExhausted(std::string_view m) {
  return absl::ResourceExhaustedError(ToAbsl(m));
}
inline absl::Status Unavailable(std::string_view m) { return absl::UnavailableError(ToAbsl(m)); }
inline absl::Status Unimplemented(std::string_view m) {
  return absl::UnimplementedError(ToAbsl(m));
}
inline absl::Status Internal(std::string_view m) { return absl::InternalError(ToAbsl(m)); }
inline absl::Status DataLoss(std::string_view m) { return absl::DataLossError(ToAbsl(m)); }
inline absl::Status DeadlineExceeded(std::string_view m) {
  return absl::DeadlineExceededError(ToAbsl(m));
}
inline absl::Status Cancelled(std::string_view m) { return absl::CancelledError(ToAbsl(m)); }
inline absl::Status OutOfRange(std::string_view m) { return absl::OutOfRangeError(ToAbsl(m)); }

}  // namespace intactkv

#define INTACTKV_CONCAT_INNER(a, b) a##b
#define INTACTKV_CONCAT(a, b) INTACTKV_CONCAT_INNER(a, b)
#define RETURN_IF_ERROR(expr)                          \
  do {                                                 \
    absl::Status intactkv_status = (expr);             \
    if (!intactkv_status.ok()) return intactkv_status; \
  } while (false)
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(INTACTKV_CONCAT(intactkv_statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(var, lhs, expr) \
  auto var = (expr);                          \
  if (!var.ok()) return var.status();         \
  lhs = std::move(var).value()
