// Arguments of a call, and their binding to parameters.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

// One value per parameter; undefined where none was given. kInvalidArgument: too many, an unknown
// name, or the same parameter twice; `what` is who was called.
absl::StatusOr<Values> Bind(const Arguments& arguments,
                            std::span<const std::string_view> parameters, std::string_view what);

// `value` as text or an int; `fallback` if it is undefined or None; an error if it is something
// else.
absl::StatusOr<Text> TextOr(const Value& value, std::string_view fallback);
absl::StatusOr<int64_t> IntOr(const Value& value, int64_t fallback);

}  // namespace intactkv::jinja
