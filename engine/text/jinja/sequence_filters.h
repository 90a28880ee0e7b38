// The filters that work item by item; rows of the table in filters.cc.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

// `args` holds one value per parameter.
absl::StatusOr<Value> Join(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> First(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> Last(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> List(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> Items(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> Reverse(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> Unique(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> Sort(const Value& input, const Values& args, Budget& budget);
absl::StatusOr<Value> DictSort(const Value& input, const Values& args, Budget& budget);

// map, select, reject, selectattr, rejectattr: they take another filter or a test by name.
bool IsMappingFilter(std::string_view name);
absl::StatusOr<Value> ApplyMappingFilter(std::string_view name, const Value& input,
                                         const Arguments& arguments, Budget& budget);

// str.replace(), paid for; also the filter.
struct Replacement {
  const Text& from;
  const Text& to;
  int64_t count;  // negative: all
};
absl::StatusOr<Value> ReplaceText(const Text& text, const Replacement& replacement, Budget& budget);

// str.join()
absl::StatusOr<Value> JoinTexts(const Values& items, const Text& separator, Budget& budget);

}  // namespace intactkv::jinja
