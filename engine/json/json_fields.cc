#include "engine/json/json_fields.h"

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

namespace json = boost::json;

std::string_view ToView(const json::string& text) { return {text.data(), text.size()}; }

const char* Describe(JsonFault fault) {
  switch (fault) {
    case JsonFault::kInvalid:
      return "is not valid JSON";
    case JsonFault::kTooDeep:
      return "is JSON nested too deep";
    case JsonFault::kTooManyKeys:
      return "is JSON with too many keys";
    case JsonFault::kRepeatedKey:
      return "holds a key twice in one object";
    case JsonFault::kTooLarge:
      return "is JSON that needs too much memory";
  }
  return "is not valid JSON";
}

}  // namespace

absl::StatusOr<json::object> ParseJsonFile(const std::string& path, std::string_view text,
                                           const JsonLimits& limits) {
  std::variant<json::value, JsonFault> parsed = ParseJson(text, limits);
  if (const JsonFault* fault = std::get_if<JsonFault>(&parsed)) {
    return InvalidArgument(path + ": " + Describe(*fault));
  }
  json::value& value = std::get<json::value>(parsed);
  if (!value.is_object()) return InvalidArgument(path + ": is not a JSON object");
  return std::move(value.as_object());
}

std::string JsonFields::Where(std::string_view key) const {
  return path_ + ": key '" + prefix_ + Printable(key) + "'";
}

absl::Status JsonFields::Error(std::string_view key, std::string_view why) const {
  return InvalidArgument(Where(key) + ": " + std::string(why));
}

std::vector<std::string> JsonFields::Keys() const {
  std::vector<std::string> out;
  out.reserve(object_->size());
  for (const auto& member : *object_) out.emplace_back(member.key().data(), member.key().size());
  return out;
}

bool JsonFields::IsNull(std::string_view key) const {
  const json::value* value = object_->if_contains({key.data(), key.size()});
  return value != nullptr && value->is_null();
}

const json::value* JsonFields::Find(std::string_view key) const {
  const json::value* value = object_->if_contains({key.data(), key.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

absl::StatusOr<const json::value*> JsonFields::Need(std::string_view key) const {
  const json::value* value = Find(key);
  if (value == nullptr) return Error(key, "is missing");
  return value;
}

absl::StatusOr<int64_t> JsonFields::ToInt(std::string_view key, const json::value& value,
                                          int64_t min, int64_t max) const {
  const std::string range =
      "is not a whole number in " + std::to_string(min) + ".." + std::to_string(max);
  const int64_t* number = value.if_int64();
  if (number == nullptr || *number < min || *number > max) {
    return Error(key, number == nullptr ? range : std::to_string(*number) + " " + range);
  }
  return *number;
}

absl::StatusOr<int64_t> JsonFields::GetInt(std::string_view key, int64_t min, int64_t max) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  return ToInt(key, *value, min, max);
}

absl::StatusOr<double> JsonFields::GetFloat(std::string_view key, double min, double max) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  double number = 0;
  if (value->is_double()) {
    number = value->get_double();
  } else if (value->is_int64()) {
    number = static_cast<double>(value->get_int64());
  } else {
    return Error(key, "is not a number");
  }
  if (!(number > min && number < max)) {  // the parser turns 1e400 into infinity
    char text[96];
    std::snprintf(text, sizeof(text), "%g is not between %g and %g", number, min, max);
    return Error(key, text);
  }
  return number;
}

absl::StatusOr<bool> JsonFields::GetBool(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  if (!value->is_bool()) return Error(key, "is neither true nor false");
  return value->get_bool();
}

absl::StatusOr<std::string> JsonFields::GetString(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  if (!value->is_string()) return Error(key, "is not a string");
  return std::string(ToView(value->get_string()));
}

absl::StatusOr<std::vector<std::string>> JsonFields::GetStrings(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  const json::array* array = value->if_array();
  if (array == nullptr) return Error(key, "is not an array of strings");
  std::vector<std::string> out;
  for (const json::value& element : *array) {
    if (!element.is_string()) return Error(key, "is not an array of strings");
    out.emplace_back(ToView(element.get_string()));
  }
  return out;
}

absl::StatusOr<std::vector<int64_t>> JsonFields::GetInts(std::string_view key, int64_t min,
                                                         int64_t max) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  const json::array* array = value->if_array();
  if (array == nullptr) return Error(key, "is not an array of whole numbers");
  std::vector<int64_t> out;
  for (const json::value& element : *array) {
    ASSIGN_OR_RETURN(const int64_t number, ToInt(key, element, min, max));
    out.push_back(number);
  }
  return out;
}

absl::StatusOr<std::vector<int64_t>> JsonFields::GetIntOrInts(std::string_view key, int64_t min,
                                                              int64_t max) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  if (value->is_array()) return GetInts(key, min, max);
  ASSIGN_OR_RETURN(const int64_t number, ToInt(key, *value, min, max));
  return std::vector<int64_t>{number};
}

absl::StatusOr<JsonFields> JsonFields::GetObject(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Need(key));
  const json::object* object = value->if_object();
  if (object == nullptr) return Error(key, "is not an object");
  return JsonFields(*object, path_, prefix_ + std::string(key) + ".");
}

}  // namespace intactkv
