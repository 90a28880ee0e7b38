#include "engine/text/jinja/json_value.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <utility>
#include <variant>

#include "engine/base/status_macros.h"
#include "engine/json/parse_json.h"

namespace intactkv::jinja {

namespace {

namespace json = boost::json;

constexpr JsonLimits kLimits = {.max_depth = static_cast<size_t>(Value::kMaxDepth) - 2};

Value OfText(std::string_view text) { return Value::Of(text, Origin::kRequest); }

// Recursion is bounded by kLimits.
absl::StatusOr<Value> Convert(const json::value& value) {  // NOLINT(misc-no-recursion)
  switch (value.kind()) {
    case json::kind::null:
      return Value::MakeNone();
    case json::kind::bool_:
      return Value::Of(value.get_bool());
    case json::kind::int64:
      return Value::Of(int64_t{value.get_int64()});
    case json::kind::uint64:
      return InvalidArgument("an integer beyond 64 bits");
    case json::kind::double_:
      return Value::Of(value.get_double());
    case json::kind::string:
      return OfText({value.get_string().data(), value.get_string().size()});
    case json::kind::array: {
      Values items;
      for (const json::value& item : value.get_array()) {
        ASSIGN_OR_RETURN(Value converted, Convert(item));
        items.push_back(std::move(converted));
      }
      return Value::List(std::move(items));
    }
    case json::kind::object: {
      Entries entries;
      for (const auto& member : value.get_object()) {
        ASSIGN_OR_RETURN(Value converted, Convert(member.value()));
        entries.emplace_back(OfText({member.key().data(), member.key().size()}),
                             std::move(converted));
      }
      return Value::Dict(std::move(entries));
    }
  }
  return InvalidArgument("an unknown kind of JSON");
}

}  // namespace

absl::StatusOr<Value> ParseJson(std::string_view text, std::string_view what) {
  const std::string where = std::string(what) + ": ";
  const std::variant<json::value, JsonFault> parsed = intactkv::ParseJson(text, kLimits);
  if (std::holds_alternative<JsonFault>(parsed)) {
    return InvalidArgument(where + "is not valid JSON, or beyond its limits");
  }
  absl::StatusOr<Value> value = Convert(std::get<json::value>(parsed));
  if (value.ok()) return value;
  return InvalidArgument(where + std::string(ToStd(value.status().message())));
}

absl::StatusOr<Entries> ParseJsonObject(std::string_view text, std::string_view what) {
  ASSIGN_OR_RETURN(const Value value, ParseJson(text, what));
  if (value.as_dict() == nullptr) {
    return InvalidArgument(std::string(what) + ": is not a JSON object");
  }
  return *value.as_dict();
}

}  // namespace intactkv::jinja
