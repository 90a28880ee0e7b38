// Tokens -> tree, for the part of Jinja that chat templates use.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/ast.h"

namespace intactkv::jinja {

// Errors name the line. kInvalidArgument: not a template, or nested more than kMaxTreeDepth deep;
// kUnimplemented: a tag, filter or test outside our subset.
absl::StatusOr<Body> Parse(std::string_view source);

}  // namespace intactkv::jinja
