// Any text as JSON from outside, within narrow limits: the tree keeps them, what was accepted is
// accepted again as it is printed, and the typed fields of an object give a value or one line.
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <variant>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/json/json_fields.h"
#include "engine/json/parse_json.h"

namespace {

namespace json = boost::json;

constexpr intactkv::JsonLimits kLimits = {
    .max_depth = 6, .max_keys = 32, .max_expanded_bytes = size_t{1} << 16};

struct Extent {
  size_t depth = 0;
  size_t keys = 0;
  bool finite = true;  // JSON has no way to write what "1e400" is read as
};

void Measure(const json::value& value, size_t depth, Extent* extent) {
  if (value.is_structured()) extent->depth = std::max(extent->depth, depth + 1);
  if (const double* number = value.if_double()) extent->finite &= std::isfinite(*number);
  if (const json::array* array = value.if_array()) {
    for (const json::value& item : *array) Measure(item, depth + 1, extent);
  }
  if (const json::object* object = value.if_object()) {
    extent->keys += object->size();
    for (const auto& entry : *object) Measure(entry.value(), depth + 1, extent);
  }
}

void CheckOneLine(const absl::Status& status) {
  CHECK(intactkv::ToStd(status.message()).find('\n') == std::string_view::npos);
}

void ReadFields(const intactkv::JsonFields& fields) {
  for (const std::string& key : fields.Keys()) {
    const auto number = fields.GetInt(key, -5, 1000);
    CHECK(!number.ok() || (*number >= -5 && *number <= 1000));
    CheckOneLine(number.status());
    const auto real = fields.GetFloat(key, -1.0, 1e30);
    CHECK(!real.ok() || (std::isfinite(*real) && *real > -1.0 && *real < 1e30));
    CheckOneLine(real.status());
    CheckOneLine(fields.GetBool(key).status());
    CheckOneLine(fields.GetString(key).status());
    CheckOneLine(fields.GetStrings(key).status());
    const auto numbers = fields.GetIntOrInts(key, 0, 9);
    CheckOneLine(numbers.status());
    for (const int64_t one : numbers.value_or(std::vector<int64_t>())) CHECK(one >= 0 && one <= 9);
    const absl::StatusOr<intactkv::JsonFields> inner = fields.GetObject(key);
    CheckOneLine(inner.status());
    if (inner.ok()) ReadFields(*inner);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = intactkv::ParseJson(text, kLimits);
  const json::value* value = std::get_if<json::value>(&parsed);
  if (value != nullptr) {
    Extent extent;
    Measure(*value, 0, &extent);
    CHECK(extent.depth <= kLimits.max_depth && extent.keys <= kLimits.max_keys);
    if (extent.finite) {
      const auto again = intactkv::ParseJson(json::serialize(*value), {});
      CHECK(std::holds_alternative<json::value>(again));
    }
  }
  const absl::StatusOr<json::object> object = intactkv::ParseJsonFile("fuzz", text, kLimits);
  CHECK(object.ok() == (value != nullptr && value->is_object()));
  CheckOneLine(object.status());
  if (object.ok()) ReadFields(intactkv::JsonFields(*object, "fuzz"));
  return 0;
}
