#include "engine/text/jinja/arguments.h"

#include <algorithm>

#include "engine/base/status_macros.h"

namespace intactkv::jinja {

absl::StatusOr<Values> Bind(const Arguments& arguments,
                            std::span<const std::string_view> parameters, std::string_view what) {
  const std::string where = "chat template: " + std::string(what);
  if (arguments.positional.size() > parameters.size()) {
    return InvalidArgument(where + " takes at most " + std::to_string(parameters.size()) +
                           " arguments");
  }
  Values bound = arguments.positional;
  bound.resize(parameters.size());
  std::vector<bool> given(parameters.size());
  std::fill_n(given.begin(), arguments.positional.size(), true);
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(parameters.begin(), parameters.end(), name);
    if (it == parameters.end()) return InvalidArgument(where + " has no argument '" + name + "'");
    const auto i = static_cast<size_t>(it - parameters.begin());
    if (given[i]) return InvalidArgument(where + " got argument '" + name + "' twice");
    given[i] = true;
    bound[i] = value;
  }
  return bound;
}

absl::StatusOr<Text> TextOr(const Value& value, std::string_view fallback) {
  if (value.is_undefined() || value.is_none()) return Text(fallback, Origin::kTemplate);
  if (const Text* text = value.as_text()) return *text;
  return InvalidArgument("chat template: expected a string, got " + std::string(value.type_name()));
}

absl::StatusOr<int64_t> IntOr(const Value& value, int64_t fallback) {
  if (value.is_undefined() || value.is_none()) return fallback;
  if (const bool* b = value.as_bool()) return *b ? 1 : 0;
  if (const int64_t* i = value.as_int()) return *i;
  return InvalidArgument("chat template: expected an int, got " + std::string(value.type_name()));
}

}  // namespace intactkv::jinja
