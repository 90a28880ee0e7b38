#include "server/openai/json_reader.h"

#include <cmath>
#include <utility>
#include <variant>

#include "engine/json/parse_json.h"

namespace intactkv {
namespace {

namespace json = boost::json;

RequestError BadJson(std::string_view message) {
  RequestError error;
  error.code = "invalid_json";
  error.message = message;
  return error;
}

RequestError Describe(JsonFault fault) {
  switch (fault) {
    case JsonFault::kInvalid:
      return BadJson("The body is not valid JSON.");
    case JsonFault::kTooDeep:
      return BadJson("The body is nested deeper than " + std::to_string(kMaxJsonDepth) +
                     " levels.");
    case JsonFault::kTooManyKeys:
      return BadJson("The body has more than " + std::to_string(kMaxJsonKeys) + " keys.");
    case JsonFault::kRepeatedKey:
      return BadJson("An object in the body holds a key twice.");
    case JsonFault::kTooLarge:
      return BadJson("The body needs too much memory.");
  }
  return BadJson("The body is not valid JSON.");
}

}  // namespace

RequestOr<json::object> ParseJsonObject(std::string_view body) {
  std::variant<json::value, JsonFault> parsed =
      ParseJson(body, {.max_depth = kMaxJsonDepth,
                       .max_keys = kMaxJsonKeys,
                       .max_expanded_bytes = kMaxJsonExpandedBytes});
  if (const JsonFault* fault = std::get_if<JsonFault>(&parsed)) return Describe(*fault);
  json::value& value = std::get<json::value>(parsed);
  if (!value.is_object()) return BadJson("The body must be a JSON object.");
  return std::move(value.as_object());
}

const json::value* FieldReader::Find(std::string_view name) const {
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string ToString(const json::string& text) { return {text.data(), text.size()}; }

RequestOr<int64_t> ToInteger(const json::value& value, std::string_view param) {
  if (const int64_t* number = value.if_int64()) return *number;
  constexpr std::string_view kOutOfRange = "is out of range.";
  if (value.is_uint64()) return InvalidValue(param, kOutOfRange);
  const double* number = value.if_double();
  if (number == nullptr) return InvalidType(param, "an integer");
  if (!std::isfinite(*number)) return InvalidValue(param, kOutOfRange);
  if (*number != std::floor(*number)) return InvalidType(param, "an integer");
  constexpr double kExact = 9007199254740992.0;  // 2^53: above it neighbours are the same double
  if (std::fabs(*number) > kExact) return InvalidValue(param, kOutOfRange);
  return static_cast<int64_t>(*number);
}

RequestOr<std::vector<int64_t>> ToIntegers(const json::value& value, std::string_view param) {
  const json::array* array = value.if_array();
  if (array == nullptr) return InvalidType(param, "an array of integers");
  std::vector<int64_t> numbers;
  numbers.reserve(array->size());
  for (const json::value& element : *array) {
    RequestOr<int64_t> number = ToInteger(element, param);
    if (!number.ok()) return number.error();
    numbers.push_back(*number);
  }
  return numbers;
}

void FieldReader::Read(std::string_view name, std::optional<int64_t>& out) {
  const json::value* value = Find(name);
  if (value == nullptr) return;
  RequestOr<int64_t> number = ToInteger(*value, Path(name));
  if (!number.ok()) return Fail(number.error());
  out = *number;
}

void FieldReader::Read(std::string_view name, std::optional<double>& out) {
  const json::value* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_number()) return Fail(InvalidType(Path(name), "a number"));
  const double number = value->is_double()  ? value->get_double()
                        : value->is_int64() ? static_cast<double>(value->get_int64())
                                            : static_cast<double>(value->get_uint64());
  if (!std::isfinite(number)) return Fail(InvalidValue(Path(name), "is out of range."));
  out = number;
}

void FieldReader::Read(std::string_view name, std::optional<bool>& out) {
  const json::value* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_bool()) return Fail(InvalidType(Path(name), "true or false"));
  out = value->get_bool();
}

void FieldReader::Read(std::string_view name, std::optional<std::string>& out) {
  const json::value* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return Fail(InvalidType(Path(name), "a string"));
  out = ToString(value->get_string());
}

void FieldReader::Read(std::string_view name, std::optional<std::vector<int64_t>>& out) {
  const json::value* value = Find(name);
  if (value == nullptr) return;
  RequestOr<std::vector<int64_t>> numbers = ToIntegers(*value, Path(name));
  if (!numbers.ok()) return Fail(numbers.error());
  out = std::move(numbers).value();
}

}  // namespace intactkv
