// The global functions of chat templates: range, dict, raise_exception, strftime_now; namespace.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

// nullptr: no such function. Lives forever.
const Function* FindFunction(std::string_view name);

// Any but namespace, which MakeNamespace makes. kInvalidArgument: wrong arguments, or
// raise_exception() itself, whose text is the status's message.
absl::StatusOr<Value> CallFunction(const Function& function, const Arguments& arguments,
                                   int64_t now_unix_seconds, Budget& budget);

// namespace(dict, key=value, ...). The caller owns it: see NamespaceData.
absl::StatusOr<std::shared_ptr<NamespaceData>> MakeNamespace(const Arguments& arguments);

}  // namespace intactkv::jinja
