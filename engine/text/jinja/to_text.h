// Values as text: Python's str() and repr(), and JSON as transformers' tojson filter writes it.
#pragma once

#include "absl/status/statusor.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

struct JsonOptions {
  int indent = -1;  // spaces a level; negative: one line
  bool sort_keys = false;
};

// json.dumps(value, ensure_ascii=False). A string's bytes keep their origin.
// kInvalidArgument: undefined, a namespace, a loop or a macro is inside.
absl::StatusOr<Text> ToJson(const Value& value, const JsonOptions& options, Budget& budget);

}  // namespace intactkv::jinja
