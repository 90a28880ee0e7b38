#include "engine/text/jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/sequence_filters.h"
#include "engine/text/jinja/to_text.h"

namespace intactkv::jinja {

namespace {

using Result = absl::StatusOr<Value>;

// `args` holds one value per parameter of the filter.
using FilterFn = Result (*)(const Value& input, const Values& args, Budget& budget);

template <Case wanted>
Result CaseFilter(const Value& input, const Values&, Budget& budget) {
  ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  return Value::Of(ChangeCase(text, wanted));
}

Result Trim(const Value& input, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  ASSIGN_OR_RETURN(const Text characters, TextOr(args[0], ""));
  RETURN_IF_ERROR(budget.SpendStrip(text.size(), characters.size()));
  return Value::Of(Strip(text, characters.bytes(), true, true));
}

Result Count(const Value& input, const Values&, Budget& budget) {
  ASSIGN_OR_RETURN(const int64_t length, Length(input, budget));
  return Value::Of(length);
}

Result Default(const Value& input, const Values& args, Budget&) {
  const bool replace = input.is_undefined() || (Truthy(args[1]) && !Truthy(input));
  if (!replace) return input;
  return args[0].is_undefined() ? Value::Of("", Origin::kTemplate) : args[0];
}

Result String(const Value& input, const Values&, Budget& budget) {
  ASSIGN_OR_RETURN(Text text, ToText(input, budget));
  return Value::Of(std::move(text));
}

Result ReplaceFilter(const Value& input, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  ASSIGN_OR_RETURN(const Text from, ToText(args[0], budget));
  ASSIGN_OR_RETURN(const Text to, ToText(args[1], budget));
  ASSIGN_OR_RETURN(const int64_t count, IntOr(args[2], -1));
  return ReplaceText(text, {from, to, count}, budget);
}

std::optional<double> ParseNumber(const Text& text) {
  const Text stripped = Strip(text, {}, true, true);
  std::string_view digits = stripped.bytes();
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = result.ptr == digits.data() + digits.size();
  return result.ec == std::errc() && whole ? std::optional(number) : std::nullopt;
}

Result ToInt(const Value& input, const Values& args, Budget& budget) {
  const Value fallback = args[0].is_undefined() ? Value::Of(int64_t{0}) : args[0];
  if (input.as_int()) return input;
  if (const bool* b = input.as_bool()) return Value::Of(int64_t{*b});
  std::optional<double> number;
  if (const double* d = input.as_float()) number = *d;
  if (const Text* text = input.as_text()) {
    RETURN_IF_ERROR(budget.SpendBytes(text->size()));
    const Text stripped = Strip(*text, {}, true, true);
    const std::string_view digits = stripped.bytes();
    int64_t integer = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), integer);
    const bool whole = !digits.empty() && result.ptr == digits.data() + digits.size();
    if (result.ec == std::errc() && whole) return Value::Of(integer);
    number = ParseNumber(*text);
  }
  if (!number || !(std::fabs(*number) < 0x1p63)) return fallback;
  return Value::Of(static_cast<int64_t>(*number));
}

Result ToFloat(const Value& input, const Values& args, Budget& budget) {
  if (const int64_t* i = input.as_int()) return Value::Of(static_cast<double>(*i));
  if (const bool* b = input.as_bool()) return Value::Of(*b ? 1.0 : 0.0);
  if (input.as_float()) return input;
  std::optional<double> number;
  if (const Text* text = input.as_text()) {
    RETURN_IF_ERROR(budget.SpendBytes(text->size()));
    number = ParseNumber(*text);
  }
  if (number) return Value::Of(*number);
  return args[0].is_undefined() ? Value::Of(0.0) : args[0];
}

Result Abs(const Value& input, const Values&, Budget& budget) {
  ASSIGN_OR_RETURN(const bool negative, Compare("<", input, Value::Of(int64_t{0}), budget));
  return negative ? Negate(input) : input;
}

Result JsonFilter(const Value& input, const Values& args, Budget& budget) {
  if (Truthy(args[0])) return InvalidArgument("chat template: tojson(ensure_ascii=true)");
  if (!args[2].is_undefined() && !args[2].is_none()) {
    return InvalidArgument("chat template: tojson(separators=...) is not supported");
  }
  ASSIGN_OR_RETURN(const int64_t indent, IntOr(args[1], -1));
  if (indent > 16) return InvalidArgument("chat template: tojson(indent) is at most 16");
  const JsonOptions options{.indent = static_cast<int>(std::max<int64_t>(indent, -1)),
                            .sort_keys = Truthy(args[3])};
  ASSIGN_OR_RETURN(Text json, ToJson(input, options, budget));
  return Value::Of(std::move(json));
}

// indent(width=4, first=false, blank=false): every line but the first, unless it is empty.
Result Indent(const Value& input, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  Text indent;
  if (args[0].as_text()) {
    indent = *args[0].as_text();
  } else {
    ASSIGN_OR_RETURN(const int64_t width, IntOr(args[0], 4));
    if (width > 1024) return InvalidArgument("chat template: indent is at most 1024");
    indent =
        Text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '), Origin::kTemplate);
  }
  Text closed = text;
  closed.Append("\n", Origin::kTemplate);  // as Jinja does: one trailing line break survives
  const std::vector<Text> lines = SplitLines(closed);
  RETURN_IF_ERROR(budget.SpendBytes(text.size() + lines.size() * (indent.size() + 1)));
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.Append("\n", Origin::kTemplate);
    const bool wanted = i == 0 ? Truthy(args[1]) : !lines[i].empty() || Truthy(args[2]);
    if (wanted) out.Append(indent);
    out.Append(lines[i]);
  }
  return Value::Of(std::move(out));
}

struct Filter {
  std::string_view name;
  FilterFn fn;
  std::vector<std::string_view> parameters;
};

const std::vector<Filter>& Filters() {
  static const auto& filters = *new std::vector<Filter>{
      {"trim", Trim, {"chars"}},
      {"length", Count, {}},
      {"count", Count, {}},
      {"upper", CaseFilter<Case::kUpper>, {}},
      {"lower", CaseFilter<Case::kLower>, {}},
      {"title", CaseFilter<Case::kTitleWords>, {}},
      {"capitalize", CaseFilter<Case::kCapitalize>, {}},
      {"default", Default, {"default_value", "boolean"}},
      {"d", Default, {"default_value", "boolean"}},
      {"string", String, {}},
      {"safe", String, {}},
      {"replace", ReplaceFilter, {"old", "new", "count"}},
      {"int", ToInt, {"default"}},
      {"float", ToFloat, {"default"}},
      {"abs", Abs, {}},
      {"tojson", JsonFilter, {"ensure_ascii", "indent", "separators", "sort_keys"}},
      {"indent", Indent, {"width", "first", "blank"}},
      {"join", Join, {"d", "attribute"}},
      {"first", First, {}},
      {"last", Last, {}},
      {"list", List, {}},
      {"items", Items, {}},
      {"reverse", Reverse, {}},
      {"unique", Unique, {}},
      {"sort", Sort, {"reverse", "case_sensitive", "attribute"}},
      {"dictsort", DictSort, {}},
  };
  return filters;
}

const Filter* FindFilter(std::string_view name) {
  const auto it = std::find_if(Filters().begin(), Filters().end(),
                               [&](const Filter& f) { return f.name == name; });
  return it == Filters().end() ? nullptr : &*it;
}

}  // namespace

bool IsFilter(std::string_view name) { return FindFilter(name) || IsMappingFilter(name); }

Result ApplyFilter(std::string_view name, const Value& input, const Arguments& arguments,
                   Budget& budget) {
  RETURN_IF_ERROR(budget.Spend(1));
  if (IsMappingFilter(name)) return ApplyMappingFilter(name, input, arguments, budget);
  const Filter* filter = FindFilter(name);
  if (filter == nullptr) return InvalidArgument("chat template: no filter " + std::string(name));
  ASSIGN_OR_RETURN(const Values bound,
                   Bind(arguments, filter->parameters, "filter '" + std::string(name) + "'"));
  return filter->fn(input, bound, budget);
}

}  // namespace intactkv::jinja
