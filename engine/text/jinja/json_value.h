// JSON text of a request as values of a template. Stateless.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

// All text inside, keys too, is the request's. kInvalidArgument: no JSON, an integer beyond 64
// bits, too deep or too large; `what` stands in front of the message.
absl::StatusOr<Value> ParseJson(std::string_view text, std::string_view what);
absl::StatusOr<Entries> ParseJsonObject(std::string_view text, std::string_view what);

}  // namespace intactkv::jinja
