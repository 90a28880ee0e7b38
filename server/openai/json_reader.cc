#include "server/openai/json_reader.h"

#include <boost/json/memory_resource.hpp>
#include <boost/json/parser.hpp>
#include <cmath>
#include <cstddef>
#include <exception>
#include <new>

namespace intactkv {
namespace {

namespace json = boost::json;

// Refuses to give more than a fixed total; what is given back does not count as free again.
// Boost.JSON gives some blocks back with another alignment than it took them with, so all are
// aligned alike.
class BoundedResource final : public json::memory_resource {
 public:
  explicit BoundedResource(size_t bytes) : left_(bytes) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t align) override {
    if (bytes > left_ || align > __STDCPP_DEFAULT_NEW_ALIGNMENT__) throw std::bad_alloc();
    left_ -= bytes;
    return ::operator new(bytes);
  }
  void do_deallocate(void* p, std::size_t, std::size_t) override { ::operator delete(p); }
  bool do_is_equal(const json::memory_resource& other) const noexcept override {
    return this == &other;
  }
  size_t left_;
};

RequestError BadJson(std::string_view message) {
  RequestError error;
  error.code = "invalid_json";
  error.message = message;
  return error;
}

// Keys in a JSON text that parses: the colons outside strings.
size_t CountColons(std::string_view text) {
  size_t count = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text[i] == ':') {
      ++count;
    }
  }
  return count;
}

// Keys in the tree; recursion is bounded by kMaxJsonDepth.
size_t CountKeys(const json::value& value) {  // NOLINT(misc-no-recursion)
  size_t count = 0;
  if (const json::object* object = value.if_object()) {
    count = object->size();
    for (const auto& member : *object) count += CountKeys(member.value());
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) count += CountKeys(element);
  }
  return count;
}

RequestOr<json::object> Parse(std::string_view body) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  const auto storage = json::make_shared_resource<BoundedResource>(kMaxJsonExpandedBytes);
  json::parser parser(json::make_shared_resource<BoundedResource>(kMaxJsonExpandedBytes), options);
  parser.reset(storage);
  json::error_code error;
  parser.write(body.data(), body.size(), error);
  if (error == json::error::too_deep) {
    return BadJson("The body is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels.");
  }
  if (error) return BadJson("The body is not valid JSON.");
  json::value value = parser.release();
  if (!value.is_object()) return BadJson("The body must be a JSON object.");
  const size_t keys = CountColons(body);
  if (keys > kMaxJsonKeys) {
    return BadJson("The body has more than " + std::to_string(kMaxJsonKeys) + " keys.");
  }
  if (CountKeys(value) != keys) return BadJson("An object in the body holds a key twice.");
  return std::move(value.as_object());
}

}  // namespace

RequestOr<json::object> ParseJsonObject(std::string_view body) {
  try {
    return Parse(body);
  } catch (const std::exception&) {  // the bounded storage, or the process, is out of memory
    return BadJson("The body needs too much memory.");
  }
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
