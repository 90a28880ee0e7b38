// Jinja's filters: what stands behind `|`.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

bool IsFilter(std::string_view name);

// `name` satisfies IsFilter. kInvalidArgument, kResourceExhausted as in operators.h.
absl::StatusOr<Value> ApplyFilter(std::string_view name, const Value& input,
                                  const Arguments& arguments, Budget& budget);

}  // namespace intactkv::jinja
