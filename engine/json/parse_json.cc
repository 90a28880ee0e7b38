#include "engine/json/parse_json.h"

#include <boost/json/array.hpp>
#include <boost/json/memory_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parser.hpp>
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

// Keys in the tree; recursion is bounded by max_depth.
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

std::variant<json::value, JsonFault> Parse(std::string_view text, const JsonLimits& limits) {
  json::parse_options options;
  options.max_depth = limits.max_depth;
  const auto storage = json::make_shared_resource<BoundedResource>(limits.max_expanded_bytes);
  json::parser parser(json::make_shared_resource<BoundedResource>(limits.max_expanded_bytes),
                      options);
  parser.reset(storage);
  json::error_code error;
  parser.write(text.data(), text.size(), error);
  if (error == json::error::too_deep) return JsonFault::kTooDeep;
  if (error) return JsonFault::kInvalid;
  json::value value = parser.release();
  const size_t keys = CountColons(text);
  if (keys > limits.max_keys) return JsonFault::kTooManyKeys;
  if (CountKeys(value) != keys) return JsonFault::kRepeatedKey;
  return value;
}

}  // namespace

std::variant<json::value, JsonFault> ParseJson(std::string_view text, const JsonLimits& limits) {
  try {
    return Parse(text, limits);
  } catch (const std::exception&) {  // the bounded storage, or the process, is out of memory
    return JsonFault::kTooLarge;
  }
}

}  // namespace intactkv
