#include "engine/text/jinja/sequence_filters.h"

#include <algorithm>
#include <span>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/tests.h"

namespace intactkv::jinja {

namespace {

using Result = absl::StatusOr<Value>;

// item.a.b for "a.b"; a number is an index.
Result Attribute(Value item, std::string_view path, Budget& budget) {
  for (;;) {
    const size_t dot = std::min(path.find('.'), path.size());
    const std::string_view name = path.substr(0, dot);
    ASSIGN_OR_RETURN(item, GetItem(item, Value::Of(name, Origin::kTemplate), budget));
    if (dot == path.size()) return item;
    path.remove_prefix(dot + 1);
  }
}

// Jinja sorts and compares strings without case unless told otherwise.
Value SortKey(const Value& value, bool case_sensitive) {
  const Text* text = value.as_text();
  return text == nullptr || case_sensitive ? value : Value::Of(ChangeCase(*text, Case::kLower));
}

struct Keyed {
  Value key;
  Value value;
};

// The first two sorted runs of `width` items become one, at the end of `merged`.
absl::Status MergeRuns(std::span<Keyed> items, size_t width, bool reverse, Budget& budget,
                       std::vector<Keyed>& merged) {
  size_t a = 0, b = std::min(width, items.size());
  const size_t a_end = b, b_end = std::min(b + width, items.size());
  while (a < a_end || b < b_end) {
    bool take_b = a == a_end;
    if (a < a_end && b < b_end) {
      const Value &left = items[a].key, &right = items[b].key;
      ASSIGN_OR_RETURN(
          take_b, reverse ? Compare("<", left, right, budget) : Compare("<", right, left, budget));
    }
    merged.push_back(std::move(items[take_b ? b++ : a++]));
  }
  return absl::OkStatus();
}

// A merge sort of our own: a comparison can fail, and with a NaN it is no order at all, which
// std::sort must not see. Stable.
absl::StatusOr<Values> SortByKey(std::vector<Keyed> items, bool reverse, Budget& budget) {
  std::vector<Keyed> merged;
  for (size_t width = 1; width < items.size(); width *= 2) {
    RETURN_IF_ERROR(budget.Spend(items.size()));
    merged.clear();
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      RETURN_IF_ERROR(MergeRuns(std::span(items).subspan(begin), width, reverse, budget, merged));
    }
    items.swap(merged);
  }
  Values sorted;
  for (Keyed& item : items) sorted.push_back(std::move(item.value));
  return sorted;
}

// The test that select & co. name, with its arguments; plain truth if they name none.
absl::StatusOr<bool> Selected(const Value& value, const Arguments& arguments, size_t first,
                              Budget& budget) {
  if (arguments.positional.size() <= first) return Truthy(value);
  ASSIGN_OR_RETURN(const Text name, TextOr(arguments.positional[first], ""));
  if (!IsTest(name.bytes())) {
    return InvalidArgument("chat template: no test '" + std::string(name.bytes()) + "'");
  }
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                         arguments.positional.end());
  return ApplyTest(name.bytes(), value, rest, budget);
}

Result Map(const Values& items, const Arguments& arguments, Budget& budget) {
  Values mapped;
  if (arguments.positional.empty()) {
    static constexpr std::string_view kParameters[] = {"attribute", "default"};
    ASSIGN_OR_RETURN(const Values bound, Bind(arguments, kParameters, "filter 'map'"));
    ASSIGN_OR_RETURN(const Text path, TextOr(bound[0], ""));
    for (const Value& item : items) {
      ASSIGN_OR_RETURN(Value value, Attribute(item, path.bytes(), budget));
      mapped.push_back(value.is_undefined() && !bound[1].is_undefined() ? bound[1] : value);
    }
    return Value::List(std::move(mapped));
  }
  ASSIGN_OR_RETURN(const Text name, TextOr(arguments.positional[0], ""));
  if (!IsFilter(name.bytes()) || IsMappingFilter(name.bytes())) {
    return InvalidArgument("chat template: map by '" + std::string(name.bytes()) + "'");
  }
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value value, ApplyFilter(name.bytes(), item, rest, budget));
    mapped.push_back(std::move(value));
  }
  return Value::List(std::move(mapped));
}

}  // namespace

Result ReplaceText(const Text& text, const Replacement& replacement, Budget& budget) {
  const auto& [from, to, count] = replacement;
  if (from.empty()) return InvalidArgument("chat template: replace of an empty string");
  RETURN_IF_ERROR(budget.SpendSearch(text.size(), from.size()));
  uint64_t found = 0;
  for (size_t pos = 0;
       (pos = FindBytes(text.bytes(), from.bytes(), pos)) != std::string_view::npos;) {
    pos += from.size();
    ++found;
  }
  RETURN_IF_ERROR(budget.Spend(found * (1 + to.size() / Budget::kBytesPerOperation)));
  return Value::Of(Replace(text, from, to, count));
}

Result JoinTexts(const Values& items, const Text& separator, Budget& budget) {
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const Text text, ToText(items[i], budget));
    RETURN_IF_ERROR(budget.SpendBytes(separator.size() + text.size()));
    if (i > 0) out.Append(separator);
    out.Append(text);
  }
  return Value::Of(std::move(out));
}

Result Join(const Value& input, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(Values items, Iterate(input, budget));
  ASSIGN_OR_RETURN(const Text separator, ToText(args[0], budget));
  ASSIGN_OR_RETURN(const Text path, TextOr(args[1], ""));
  for (Value& item : items) {
    if (path.empty()) break;
    ASSIGN_OR_RETURN(item, Attribute(item, path.bytes(), budget));
  }
  return JoinTexts(items, separator, budget);
}

Result First(const Value& input, const Values&, Budget& budget) {
  if (input.as_text() || input.as_list()) return GetItem(input, Value::Of(int64_t{0}), budget);
  ASSIGN_OR_RETURN(const Values items, Iterate(input, budget));
  return items.empty() ? Value::MakeUndefined("No first item, sequence was empty.") : items[0];
}

Result Last(const Value& input, const Values&, Budget& budget) {
  if (input.as_text() || input.as_list()) return GetItem(input, Value::Of(int64_t{-1}), budget);
  ASSIGN_OR_RETURN(const Values items, Iterate(input, budget));
  return items.empty() ? Value::MakeUndefined("No last item, sequence was empty.") : items.back();
}

Result List(const Value& input, const Values&, Budget& budget) {
  ASSIGN_OR_RETURN(Values items, Iterate(input, budget));
  return Value::List(std::move(items));
}

Result Items(const Value& input, const Values&, Budget& budget) {
  if (input.is_undefined()) return Value::List({});
  const Entries* dict = input.as_dict();
  if (dict == nullptr) return InvalidArgument("chat template: items of what is no mapping");
  RETURN_IF_ERROR(budget.Spend(dict->size()));
  Values pairs;
  for (const auto& [key, value] : *dict) {
    ASSIGN_OR_RETURN(Value pair, Value::List({key, value}, /*tuple=*/true));
    pairs.push_back(std::move(pair));
  }
  return Value::List(std::move(pairs));
}

Result Reverse(const Value& input, const Values&, Budget& budget) {
  if (input.as_text()) {
    return GetSlice(input, {Value::MakeNone(), Value::MakeNone(), Value::Of(int64_t{-1})}, budget);
  }
  ASSIGN_OR_RETURN(Values items, Iterate(input, budget));
  std::reverse(items.begin(), items.end());
  return Value::List(std::move(items));
}

Result Unique(const Value& input, const Values&, Budget& budget) {
  ASSIGN_OR_RETURN(const Values items, Iterate(input, budget));
  Values seen, unique;
  for (const Value& item : items) {
    const Value key = SortKey(item, /*case_sensitive=*/false);
    bool found = false;
    for (size_t i = 0; i < seen.size() && !found; ++i) {
      ASSIGN_OR_RETURN(found, Compare("==", seen[i], key, budget));
    }
    if (found) continue;
    seen.push_back(key);
    unique.push_back(item);
  }
  return Value::List(std::move(unique));
}

Result Sort(const Value& input, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Values items, Iterate(input, budget));
  ASSIGN_OR_RETURN(const Text path, TextOr(args[2], ""));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    Value key = item;
    if (!path.empty()) {
      ASSIGN_OR_RETURN(key, Attribute(item, path.bytes(), budget));
    }
    RETURN_IF_ERROR(SpendWalk(key, budget));
    keyed.push_back({SortKey(key, Truthy(args[1])), item});
  }
  ASSIGN_OR_RETURN(Values sorted, SortByKey(std::move(keyed), Truthy(args[0]), budget));
  return Value::List(std::move(sorted));
}

Result DictSort(const Value& input, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Value pairs, Items(input, args, budget));
  std::vector<Keyed> keyed;
  for (const Value& pair : *pairs.as_list()) {
    keyed.push_back({SortKey(pair.as_list()->front(), /*case_sensitive=*/false), pair});
  }
  ASSIGN_OR_RETURN(Values sorted, SortByKey(std::move(keyed), /*reverse=*/false, budget));
  return Value::List(std::move(sorted));
}

bool IsMappingFilter(std::string_view name) {
  return name == "map" || name == "select" || name == "reject" || name == "selectattr" ||
         name == "rejectattr";
}

Result ApplyMappingFilter(std::string_view name, const Value& input, const Arguments& arguments,
                          Budget& budget) {
  // Jinja's generators look at nothing, not even at their arguments, if the input is falsy.
  if (!Truthy(input)) return Value::List({});
  ASSIGN_OR_RETURN(const Values items, Iterate(input, budget));
  if (name == "map") return Map(items, arguments, budget);
  if (!arguments.named.empty()) {
    return InvalidArgument("chat template: filter '" + std::string(name) +
                           "' takes no named arguments");
  }
  const bool by_attribute = name.ends_with("attr"), keep = name.starts_with("select");
  if (by_attribute && arguments.positional.empty()) {
    return InvalidArgument("chat template: filter '" + std::string(name) + "' needs an attribute");
  }
  Values kept;
  for (const Value& item : items) {
    Value tested = item;
    if (by_attribute) {
      ASSIGN_OR_RETURN(const Text path, TextOr(arguments.positional[0], ""));
      ASSIGN_OR_RETURN(tested, Attribute(item, path.bytes(), budget));
    }
    ASSIGN_OR_RETURN(const bool selected,
                     Selected(tested, arguments, by_attribute ? 1 : 0, budget));
    if (selected == keep) kept.push_back(item);
  }
  return Value::List(std::move(kept));
}

}  // namespace intactkv::jinja
