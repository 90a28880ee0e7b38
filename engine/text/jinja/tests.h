// Jinja's tests: what stands behind `is`.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

bool IsTest(std::string_view name);

// `name` satisfies IsTest. kInvalidArgument, kResourceExhausted as in operators.h.
absl::StatusOr<bool> ApplyTest(std::string_view name, const Value& value,
                               const Arguments& arguments, Budget& budget);

}  // namespace intactkv::jinja
