// Runs a parsed template. No loop, string or recursion grows past the limits, whatever the template
// and the messages; nothing but the given values can be reached.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

struct Environment {
  std::vector<std::pair<std::string, Value>> globals;
  int64_t now_unix_seconds = 0;  // what strftime_now() formats, in UTC
  Limits limits;
};

// The text of the template. Thread-safe. kInvalidArgument: raise_exception() was called (the
// message is its text), or the template fails as it would in Python; kResourceExhausted: a limit.
absl::StatusOr<Text> Render(const Body& body, const Environment& environment);

}  // namespace intactkv::jinja
