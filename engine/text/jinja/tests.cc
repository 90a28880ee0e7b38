#include "engine/text/jinja/tests.h"

#include <algorithm>
#include <array>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/operators.h"

namespace intactkv::jinja {

namespace {

using Predicate = bool (*)(const Value&);

struct UnaryTest {
  std::string_view name;
  Predicate holds;
};

bool IsSequence(const Value& v) { return v.as_text() || v.as_list() || v.as_dict(); }

constexpr UnaryTest kUnary[] = {
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is_none(); }},
    {"string", [](const Value& v) { return v.as_text() != nullptr; }},
    {"mapping", [](const Value& v) { return v.as_dict() != nullptr; }},
    {"iterable", [](const Value& v) { return IsSequence(v) || v.is_undefined() || v.as_loop(); }},
    {"sequence", [](const Value& v) { return IsSequence(v) || v.is_undefined(); }},
    {"number", [](const Value& v) { return v.is_number(); }},
    {"integer", [](const Value& v) { return v.as_int() != nullptr; }},
    {"float", [](const Value& v) { return v.as_float() != nullptr; }},
    {"boolean", [](const Value& v) { return v.as_bool() != nullptr; }},
    {"true", [](const Value& v) { return v.as_bool() && *v.as_bool(); }},
    {"false", [](const Value& v) { return v.as_bool() && !*v.as_bool(); }},
    {"callable", [](const Value& v) { return v.as_macro() || v.as_function(); }},
};

struct CompareTest {
  std::string_view name;
  std::string_view op;
};

constexpr CompareTest kCompare[] = {
    {"==", "=="}, {"eq", "=="}, {"equalto", "=="}, {"ne", "!="},         {"lt", "<"},  {"le", "<="},
    {"gt", ">"},  {"ge", ">="}, {"lessthan", "<"}, {"greaterthan", ">"}, {"in", "in"},
};

constexpr std::string_view kOther[] = {"odd", "even", "divisibleby", "lower", "upper"};

const UnaryTest* FindUnary(std::string_view name) {
  const auto* it = std::find_if(std::begin(kUnary), std::end(kUnary),
                                [&](const UnaryTest& t) { return t.name == name; });
  return it == std::end(kUnary) ? nullptr : it;
}

const CompareTest* FindCompare(std::string_view name) {
  const auto* it = std::find_if(std::begin(kCompare), std::end(kCompare),
                                [&](const CompareTest& t) { return t.name == name; });
  return it == std::end(kCompare) ? nullptr : it;
}

absl::StatusOr<bool> IsDivisible(const Value& value, int64_t divisor, Budget& budget) {
  ASSIGN_OR_RETURN(const Value rest, Binary("%", value, Value::Of(divisor), budget));
  return !Truthy(rest);
}

absl::StatusOr<bool> IsCase(const Value& value, Case wanted, Budget& budget) {
  ASSIGN_OR_RETURN(const Text text, ToText(value, budget));
  const Case other = wanted == Case::kUpper ? Case::kLower : Case::kUpper;
  return ChangeCase(text, wanted).bytes() == text.bytes() &&
         ChangeCase(text, other).bytes() != text.bytes();  // has a cased character
}

}  // namespace

bool IsTest(std::string_view name) {
  return FindUnary(name) != nullptr || FindCompare(name) != nullptr ||
         std::find(std::begin(kOther), std::end(kOther), name) != std::end(kOther);
}

absl::StatusOr<bool> ApplyTest(std::string_view name, const Value& value,
                               const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(budget.Spend(1));
  const CompareTest* compare = FindCompare(name);
  const size_t expected = compare != nullptr || name == "divisibleby" ? 1 : 0;
  if (arguments.positional.size() != expected || !arguments.named.empty()) {
    return InvalidArgument("chat template: test '" + std::string(name) + "' takes " +
                           std::to_string(expected) + " arguments");
  }
  if (const UnaryTest* unary = FindUnary(name)) return unary->holds(value);
  if (compare != nullptr) return Compare(compare->op, value, arguments.positional[0], budget);
  if (name == "lower") return IsCase(value, Case::kLower, budget);
  if (name == "upper") return IsCase(value, Case::kUpper, budget);
  if (name == "divisibleby") {
    ASSIGN_OR_RETURN(const int64_t divisor, IntOr(arguments.positional[0], 0));
    return IsDivisible(value, divisor, budget);
  }
  ASSIGN_OR_RETURN(const bool even, IsDivisible(value, 2, budget));
  return even == (name == "even");
}

}  // namespace intactkv::jinja
