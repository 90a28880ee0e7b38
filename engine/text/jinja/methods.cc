#include "engine/text/jinja/methods.h"

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/sequence_filters.h"

namespace intactkv::jinja {

namespace {

using Result = absl::StatusOr<Value>;

// `args` holds one value per parameter of the method; the object's bytes are paid for.
using TextMethod = Result (*)(const Text& text, const Values& args, Budget& budget);

template <bool left, bool right>
Result StripMethod(const Text& text, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Text characters, TextOr(args[0], ""));
  RETURN_IF_ERROR(budget.SpendStrip(text.size(), characters.size()));
  return Value::Of(Strip(text, characters.bytes(), left, right));
}

template <Case wanted>
Result CaseMethod(const Text& text, const Values&, Budget&) {
  return Value::Of(ChangeCase(text, wanted));
}

Result ToList(std::vector<Text> parts, Budget& budget) {
  RETURN_IF_ERROR(budget.Spend(parts.size()));
  Values items;
  for (Text& part : parts) items.push_back(Value::Of(std::move(part)));
  return Value::List(std::move(items));
}

Result SplitMethod(const Text& text, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const int64_t max_splits, IntOr(args[1], -1));
  if (args[0].is_undefined() || args[0].is_none()) {
    return ToList(SplitSpace(text, max_splits), budget);
  }
  ASSIGN_OR_RETURN(const Text separator, TextOr(args[0], ""));
  if (separator.empty()) return InvalidArgument("chat template: split by an empty string");
  RETURN_IF_ERROR(budget.SpendSearch(text.size(), separator.size()));
  return ToList(Split(text, separator.bytes(), max_splits), budget);
}

Result SplitLinesMethod(const Text& text, const Values&, Budget& budget) {
  return ToList(SplitLines(text), budget);
}

// startswith and endswith take one string or a tuple of them.
template <bool at_end>
Result HasAffix(const Text& text, const Values& args, Budget& budget) {
  Values affixes = {args[0]};
  if (args[0].is_tuple()) affixes = *args[0].as_list();
  RETURN_IF_ERROR(budget.Spend(affixes.size()));
  for (const Value& affix : affixes) {
    if (!affix.as_text()) return InvalidArgument("chat template: startswith of a non-string");
    const std::string_view bytes = affix.as_text()->bytes();
    RETURN_IF_ERROR(budget.SpendBytes(std::min(bytes.size(), text.size())));
    if (at_end ? text.bytes().ends_with(bytes) : text.bytes().starts_with(bytes)) {
      return Value::Of(true);
    }
  }
  return Value::Of(false);
}

template <bool at_end>
Result RemoveAffix(const Text& text, const Values& args, Budget&) {
  ASSIGN_OR_RETURN(const Text affix, TextOr(args[0], ""));
  const size_t rest = text.size() - std::min(text.size(), affix.size());
  if (at_end && text.bytes().ends_with(affix.bytes())) return Value::Of(text.Slice(0, rest));
  if (!at_end && text.bytes().starts_with(affix.bytes())) {
    return Value::Of(text.Slice(affix.size(), rest));
  }
  return Value::Of(text);
}

Result ReplaceMethod(const Text& text, const Values& args, Budget& budget) {
  if (!args[0].as_text() || !args[1].as_text()) {
    return InvalidArgument("chat template: replace takes strings");
  }
  ASSIGN_OR_RETURN(const int64_t count, IntOr(args[2], -1));
  return ReplaceText(text, {*args[0].as_text(), *args[1].as_text(), count}, budget);
}

Result FindMethod(const Text& text, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Text needle, TextOr(args[0], ""));
  RETURN_IF_ERROR(budget.SpendSearch(text.size(), needle.size()));
  const size_t pos = FindBytes(text.bytes(), needle.bytes());
  if (pos == std::string_view::npos) return Value::Of(int64_t{-1});
  const auto characters = std::ssize(CharacterOffsets(text.bytes().substr(0, pos))) - 1;
  return Value::Of(int64_t{characters});
}

Result CountMethod(const Text& text, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Text needle, TextOr(args[0], ""));
  if (needle.empty()) return InvalidArgument("chat template: count of an empty string");
  RETURN_IF_ERROR(budget.SpendSearch(text.size(), needle.size()));
  int64_t count = 0;
  for (size_t pos = 0;
       (pos = FindBytes(text.bytes(), needle.bytes(), pos)) != std::string_view::npos;) {
    pos += needle.size();
    ++count;
  }
  return Value::Of(count);
}

Result JoinMethod(const Text& text, const Values& args, Budget& budget) {
  ASSIGN_OR_RETURN(const Values items, Iterate(args[0], budget));
  for (const Value& item : items) {
    if (!item.as_text()) return InvalidArgument("chat template: join of a non-string");
  }
  return JoinTexts(items, text, budget);
}

Result IsDigitMethod(const Text& text, const Values&, Budget&) {
  return Value::Of(!text.empty() &&
                   text.bytes().find_first_not_of("0123456789") == std::string_view::npos);
}

struct Method {
  std::string_view name;
  TextMethod fn;
  std::vector<std::string_view> parameters;
};

const std::vector<Method>& TextMethods() {
  static const auto& methods = *new std::vector<Method>{
      {"strip", StripMethod<true, true>, {"chars"}},
      {"lstrip", StripMethod<true, false>, {"chars"}},
      {"rstrip", StripMethod<false, true>, {"chars"}},
      {"upper", CaseMethod<Case::kUpper>, {}},
      {"lower", CaseMethod<Case::kLower>, {}},
      {"title", CaseMethod<Case::kTitle>, {}},
      {"capitalize", CaseMethod<Case::kCapitalize>, {}},
      {"split", SplitMethod, {"sep", "maxsplit"}},
      {"splitlines", SplitLinesMethod, {}},
      {"startswith", HasAffix<false>, {"prefix"}},
      {"endswith", HasAffix<true>, {"suffix"}},
      {"removeprefix", RemoveAffix<false>, {"prefix"}},
      {"removesuffix", RemoveAffix<true>, {"suffix"}},
      {"replace", ReplaceMethod, {"old", "new", "count"}},
      {"find", FindMethod, {"sub"}},
      {"count", CountMethod, {"sub"}},
      {"join", JoinMethod, {"iterable"}},
      {"isdigit", IsDigitMethod, {}},
  };
  return methods;
}

Result DictGet(const Entries& dict, const Arguments& arguments, Budget& budget) {
  static constexpr std::string_view kParameters[] = {"key", "default"};
  ASSIGN_OR_RETURN(const Values args, Bind(arguments, kParameters, "get"));
  RETURN_IF_ERROR(SpendFind(dict.size(), args[0], budget));
  if (const Value* found = Find(dict, args[0])) return *found;
  return args[1].is_undefined() ? Value::MakeNone() : args[1];
}

Result DictMethod(const Value& object, std::string_view name, const Arguments& arguments,
                  Budget& budget) {
  const Entries& dict = *object.as_dict();
  if (name == "get") return DictGet(dict, arguments, budget);
  RETURN_IF_ERROR(Bind(arguments, {}, name).status());
  if (name == "items") return Items(object, {}, budget);
  RETURN_IF_ERROR(budget.Spend(dict.size()));
  Values items;
  for (const auto& [key, value] : dict) items.push_back(name == "keys" ? key : value);
  return Value::List(std::move(items));
}

}  // namespace

Result CallMethod(const Value& object, std::string_view name, const Arguments& arguments,
                  Budget& budget) {
  if (object.is_undefined()) return UndefinedError(object);
  if (const Text* text = object.as_text()) {
    const auto method = std::find_if(TextMethods().begin(), TextMethods().end(),
                                     [&](const Method& m) { return m.name == name; });
    if (method != TextMethods().end()) {
      RETURN_IF_ERROR(budget.SpendBytes(text->size()));
      ASSIGN_OR_RETURN(const Values bound, Bind(arguments, method->parameters, name));
      return method->fn(*text, bound, budget);
    }
  }
  if (object.as_dict() &&
      (name == "get" || name == "items" || name == "keys" || name == "values")) {
    return DictMethod(object, name, arguments, budget);
  }
  return InvalidArgument("chat template: " + std::string(object.type_name()) + " has no method '" +
                         std::string(name) + "'");
}

}  // namespace intactkv::jinja
