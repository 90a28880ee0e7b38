// The methods that a template may call, by name; there is no other way to reach one.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

// object.name(arguments) for strings and dicts. kInvalidArgument: no such method, or Python would
// raise; kResourceExhausted: the budget.
absl::StatusOr<Value> CallMethod(const Value& object, std::string_view name,
                                 const Arguments& arguments, Budget& budget);

}  // namespace intactkv::jinja
