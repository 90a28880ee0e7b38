// What expressions do to values: Python's operators, subscripts and conversions to text.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

// Errors of all: kInvalidArgument (Python would raise), kResourceExhausted (the budget).

// op: + - * / // % ** ~
absl::StatusOr<Value> Binary(std::string_view op, const Value& a, const Value& b, Budget& budget);
// op: == != < <= > >= in, and "not in"
absl::StatusOr<bool> Compare(std::string_view op, const Value& a, const Value& b, Budget& budget);
absl::StatusOr<Value> Negate(const Value& value);

// object.name and object[key]; undefined if there is no such thing, an error if object is
// undefined.
absl::StatusOr<Value> GetAttribute(const Value& object, std::string_view name, Budget& budget);
absl::StatusOr<Value> GetItem(const Value& object, const Value& key, Budget& budget);
// Bounds are ints or None.
struct SliceBounds {
  Value start, stop, step;
};
absl::StatusOr<Value> GetSlice(const Value& object, const SliceBounds& bounds, Budget& budget);

// What `for` runs over: items, keys or characters; nothing if undefined.
absl::StatusOr<Values> Iterate(const Value& value, Budget& budget);
absl::StatusOr<int64_t> Length(const Value& value, Budget& budget);

// str(value); "" if undefined.
absl::StatusOr<Text> ToText(const Value& value, Budget& budget);
std::string FloatRepr(double value);

// The error of using `value`, which is undefined.
absl::Status UndefinedError(const Value& value);

}  // namespace intactkv::jinja
