#include "engine/text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/base/status_macros.h"

namespace intactkv::jinja {

namespace {

absl::Status Unsupported(std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) return UndefinedError(a);
  if (b.is_undefined()) return UndefinedError(b);
  return InvalidArgument("chat template: unsupported operands of " + std::string(op) + ": " +
                         std::string(a.type_name()) + " and " + std::string(b.type_name()));
}

std::optional<int64_t> Integer(const Value& v) {
  if (const bool* b = v.as_bool()) return *b ? 1 : 0;
  if (const int64_t* i = v.as_int()) return *i;
  return std::nullopt;
}

double Real(const Value& v) {
  const auto i = Integer(v);
  return i ? static_cast<double>(*i) : *v.as_float();
}

absl::Status Overflow() { return InvalidArgument("chat template: integer overflow"); }

absl::StatusOr<Value> Power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    return Value::Of(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return Overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return Overflow();
  }
  return Value::Of(result);
}

absl::StatusOr<Value> IntegerArithmetic(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    return Power(a, b);
  } else {
    if (b == 0) return InvalidArgument("chat template: division by zero");
    if (op == "/") return Value::Of(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {
      return op == "%" ? Value::Of(int64_t{0}) : IntegerArithmetic("-", 0, a);
    }
    const bool round_down = a % b != 0 && (a < 0) != (b < 0);
    result = op == "%" ? a % b + (round_down ? b : 0) : a / b - (round_down ? 1 : 0);
  }
  if (overflow) return Overflow();
  return Value::Of(result);
}

absl::StatusOr<Value> RealArithmetic(std::string_view op, double a, double b) {
  if (op == "+") return Value::Of(a + b);
  if (op == "-") return Value::Of(a - b);
  if (op == "*") return Value::Of(a * b);
  if (op == "**") return Value::Of(std::pow(a, b));
  if (b == 0) return InvalidArgument("chat template: division by zero");
  if (op == "/") return Value::Of(a / b);
  const double floor = std::floor(a / b);
  return Value::Of(op == "//" ? floor : a - floor * b);
}

absl::StatusOr<Value> Concatenate(const Text& a, const Text& b, Budget& budget) {
  RETURN_IF_ERROR(budget.SpendBytes(a.size() + b.size()));
  Text out = a;
  out.Append(b);
  return Value::Of(std::move(out));
}

absl::StatusOr<Value> Add(const Value& a, const Value& b, Budget& budget) {
  if (a.as_text() && b.as_text()) return Concatenate(*a.as_text(), *b.as_text(), budget);
  if (!a.as_list() || !b.as_list() || a.is_tuple() != b.is_tuple()) return Unsupported("+", a, b);
  RETURN_IF_ERROR(budget.Spend(a.as_list()->size() + b.as_list()->size()));
  Values items = *a.as_list();
  items.insert(items.end(), b.as_list()->begin(), b.as_list()->end());
  return Value::List(std::move(items), a.is_tuple());
}

absl::StatusOr<Value> Repeat(const Text& text, int64_t count, Budget& budget) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  if (times != 0 && text.size() > std::numeric_limits<uint32_t>::max() / times) {
    return ResourceExhausted("chat template: string too long");
  }
  RETURN_IF_ERROR(budget.SpendBytes(text.size() * times));
  RETURN_IF_ERROR(budget.Spend(text.empty() ? 0 : times));
  Text out;
  for (uint64_t i = 0; i < times && !text.empty(); ++i) out.Append(text);
  return Value::Of(std::move(out));
}

absl::StatusOr<int> Order(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (a.is_number() && b.is_number()) {
    const auto i = Integer(a), j = Integer(b);
    if (i && j) return *i < *j ? -1 : *i > *j;
    return Real(a) < Real(b) ? -1 : Real(a) > Real(b);
  }
  if (a.as_text() && b.as_text()) {
    RETURN_IF_ERROR(budget.SpendBytes(std::min(a.as_text()->size(), b.as_text()->size())));
    return a.as_text()->bytes().compare(b.as_text()->bytes());
  }
  if (!a.as_list() || !b.as_list()) return Unsupported(op, a, b);
  const Values &x = *a.as_list(), &y = *b.as_list();
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    ASSIGN_OR_RETURN(const bool equal, Compare("==", x[i], y[i], budget));
    if (!equal) return Order(op, x[i], y[i], budget);
  }
  return x.size() < y.size() ? -1 : x.size() > y.size();
}

absl::StatusOr<bool> Contains(const Value& needle, const Value& haystack, Budget& budget) {
  if (const Text* text = haystack.as_text()) {
    if (needle.as_text() == nullptr) return Unsupported("in", needle, haystack);
    RETURN_IF_ERROR(budget.SpendSearch(text->size(), needle.as_text()->size()));
    return FindBytes(text->bytes(), needle.as_text()->bytes()) != std::string_view::npos;
  }
  if (const Values* list = haystack.as_list()) {
    for (const Value& item : *list) {
      ASSIGN_OR_RETURN(const bool equal, Compare("==", item, needle, budget));
      if (equal) return true;
    }
    return false;
  }
  if (const Entries* dict = haystack.as_dict()) {
    RETURN_IF_ERROR(SpendFind(dict->size(), needle, budget));
    return Find(*dict, needle) != nullptr;
  }
  if (haystack.is_undefined()) return false;
  return Unsupported("in", needle, haystack);
}

// Python's slice.indices(): start and stop inside [0, size] (or [-1, size - 1] downwards).
absl::StatusOr<std::vector<size_t>> SliceIndices(int64_t size, const SliceBounds& bounds,
                                                 Budget& budget) {
  for (const Value* v : {&bounds.start, &bounds.stop, &bounds.step}) {
    if (!v->is_none() && !Integer(*v)) return InvalidArgument("chat template: slice by a non-int");
  }
  const int64_t step = bounds.step.is_none() ? 1 : *Integer(bounds.step);
  if (step == 0) return InvalidArgument("chat template: slice step is zero");
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto clamp = [&](const Value& v, int64_t fallback) {
    if (v.is_none()) return fallback;
    const int64_t i = *Integer(v);
    return std::clamp(i < 0 ? i + size : i, low, high);
  };
  const int64_t start = clamp(bounds.start, step > 0 ? low : high);
  const int64_t stop = clamp(bounds.stop, step > 0 ? high : low);
  std::vector<size_t> indices;
  RETURN_IF_ERROR(budget.Spend(static_cast<uint64_t>(size) / Budget::kBytesPerOperation));
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    indices.push_back(static_cast<size_t>(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return indices;
}

absl::StatusOr<Value> LoopAttribute(const LoopData& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index), length = std::ssize(loop.items);
  if (name == "index") return Value::Of(index + 1);
  if (name == "index0") return Value::Of(index);
  if (name == "revindex") return Value::Of(length - index);
  if (name == "revindex0") return Value::Of(length - index - 1);
  if (name == "first") return Value::Of(index == 0);
  if (name == "last") return Value::Of(index + 1 == length);
  if (name == "length") return Value::Of(length);
  if (name == "depth") return Value::Of(int64_t{1});  // of recursion, which we do not have
  if (name == "depth0") return Value::Of(int64_t{0});
  if (name == "previtem") {
    return index == 0 ? Value::MakeUndefined("there is no previous item")
                      : loop.items[loop.index - 1];
  }
  if (name == "nextitem") {
    return index + 1 == length ? Value::MakeUndefined("there is no next item")
                               : loop.items[loop.index + 1];
  }
  return Value::MakeUndefined("'loop' has no attribute '" + std::string(name) + "'");
}

}  // namespace

absl::Status UndefinedError(const Value& value) {
  const std::string& why = value.undefined_message();
  return InvalidArgument("chat template: " + (why.empty() ? "undefined value" : why));
}

absl::StatusOr<Value> Binary(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (op == "~") {
    ASSIGN_OR_RETURN(const Text left, ToText(a, budget));
    ASSIGN_OR_RETURN(const Text right, ToText(b, budget));
    return Concatenate(left, right, budget);
  }
  if (a.is_number() && b.is_number()) {
    const auto i = Integer(a), j = Integer(b);
    return i && j ? IntegerArithmetic(op, *i, *j) : RealArithmetic(op, Real(a), Real(b));
  }
  if (op == "+") return Add(a, b, budget);
  if (op == "*" && a.as_text() && Integer(b)) return Repeat(*a.as_text(), *Integer(b), budget);
  if (op == "*" && b.as_text() && Integer(a)) return Repeat(*b.as_text(), *Integer(a), budget);
  return Unsupported(op, a, b);
}

absl::StatusOr<bool> Compare(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (op == "in") return Contains(a, b, budget);
  if (op == "not in") {
    ASSIGN_OR_RETURN(const bool found, Contains(a, b, budget));
    return !found;
  }
  if (op == "==" || op == "!=") {
    RETURN_IF_ERROR(SpendWalk(a, budget));
    RETURN_IF_ERROR(SpendWalk(b, budget));
    return Equal(a, b) == (op == "==");
  }
  ASSIGN_OR_RETURN(const int order, Order(op, a, b, budget));
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  return order >= 0;
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (const auto i = Integer(value)) return IntegerArithmetic("-", 0, *i);
  if (const double* d = value.as_float()) return Value::Of(-*d);
  if (value.is_undefined()) return UndefinedError(value);
  return InvalidArgument("chat template: cannot negate " + std::string(value.type_name()));
}

absl::StatusOr<Value> GetAttribute(const Value& object, std::string_view name, Budget& budget) {
  if (object.is_undefined()) return UndefinedError(object);
  if (const LoopData* loop = object.as_loop()) return LoopAttribute(*loop, name);
  const Value* found = nullptr;
  if (const Entries* dict = object.as_dict()) {
    RETURN_IF_ERROR(budget.SpendBytes(name.size()));
    RETURN_IF_ERROR(
        budget.Spend(dict->size() / 4 + dict->size() * (name.size() / Budget::kBytesPerOperation)));
    found = Find(*dict, name);
  }
  if (const NamespaceData* data = object.as_namespace()) {
    RETURN_IF_ERROR(budget.SpendScan(data->attributes.size()));
    for (const auto& [key, value] : data->attributes) {
      if (key == name) found = &value;
    }
  }
  if (found != nullptr) return *found;
  return Value::MakeUndefined("'" + std::string(object.type_name()) +
                              " object' has no attribute '" + std::string(name) + "'");
}

absl::StatusOr<Value> GetItem(const Value& object, const Value& key, Budget& budget) {
  if (object.is_undefined()) return UndefinedError(object);
  if (const Entries* dict = object.as_dict()) {
    RETURN_IF_ERROR(SpendFind(dict->size(), key, budget));
    if (const Value* found = Find(*dict, key)) return *found;
    const Text* name = key.as_text();
    return Value::MakeUndefined("'dict object' has no attribute '" +
                                (name ? std::string(name->bytes()) : std::string("?")) + "'");
  }
  if (const Text* name = key.as_text()) return GetAttribute(object, name->bytes(), budget);
  const auto index = Integer(key);
  if (!index) return Value::MakeUndefined("no such item");
  ASSIGN_OR_RETURN(const int64_t length,
                   object.as_text() || object.as_list() ? Length(object, budget) : 0);
  const int64_t i = *index < 0 ? *index + length : *index;
  if (i < 0 || i >= length) {
    return Value::MakeUndefined("'" + std::string(object.type_name()) + " object' has no element " +
                                std::to_string(*index));
  }
  const auto at = static_cast<size_t>(i);
  if (const Values* list = object.as_list()) return (*list)[at];
  const std::vector<size_t> offsets = CharacterOffsets(object.as_text()->bytes());
  return Value::Of(object.as_text()->Slice(offsets[at], offsets[at + 1] - offsets[at]));
}

absl::StatusOr<Value> GetSlice(const Value& object, const SliceBounds& bounds, Budget& budget) {
  if (object.is_undefined()) return UndefinedError(object);
  if (!object.as_text() && !object.as_list()) {
    return InvalidArgument("chat template: cannot slice " + std::string(object.type_name()));
  }
  ASSIGN_OR_RETURN(const int64_t length, Length(object, budget));
  ASSIGN_OR_RETURN(const std::vector<size_t> indices, SliceIndices(length, bounds, budget));
  if (const Values* list = object.as_list()) {
    RETURN_IF_ERROR(budget.Spend(indices.size()));
    Values items;
    for (const size_t i : indices) items.push_back((*list)[i]);
    return Value::List(std::move(items), object.is_tuple());
  }
  const Text& text = *object.as_text();
  const std::vector<size_t> offsets = CharacterOffsets(text.bytes());
  Text out;
  for (const size_t i : indices) out.Append(text, offsets[i], offsets[i + 1] - offsets[i]);
  return Value::Of(std::move(out));
}

absl::StatusOr<Values> Iterate(const Value& value, Budget& budget) {
  Values items;
  if (value.is_undefined()) return items;
  if (const Values* list = value.as_list()) {
    items = *list;
  } else if (const Entries* dict = value.as_dict()) {
    for (const auto& entry : *dict) items.push_back(entry.first);
  } else if (const Text* text = value.as_text()) {
    RETURN_IF_ERROR(budget.Spend(text->size()));
    const std::vector<size_t> offsets = CharacterOffsets(text->bytes());
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      items.push_back(Value::Of(text->Slice(offsets[i], offsets[i + 1] - offsets[i])));
    }
    return items;
  } else {
    return InvalidArgument("chat template: cannot iterate over " + std::string(value.type_name()));
  }
  RETURN_IF_ERROR(budget.Spend(items.size()));
  return items;
}

absl::StatusOr<int64_t> Length(const Value& value, Budget& budget) {
  if (value.is_undefined()) return 0;
  if (const Values* list = value.as_list()) return std::ssize(*list);
  if (const Entries* dict = value.as_dict()) return std::ssize(*dict);
  if (const Text* text = value.as_text()) {
    RETURN_IF_ERROR(budget.SpendBytes(text->size()));
    return std::ssize(CharacterOffsets(text->bytes())) - 1;
  }
  return InvalidArgument("chat template: " + std::string(value.type_name()) + " has no length");
}

}  // namespace intactkv::jinja
