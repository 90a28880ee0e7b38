#include "engine/text/jinja/value.h"

#include <algorithm>
#include <optional>

#include "engine/base/status_macros.h"

namespace intactkv::jinja {

namespace {

absl::Status CheckDepth(int depth) {
  if (depth <= Value::kMaxDepth) return absl::OkStatus();
  return InvalidArgument("chat template: lists or dicts nested too deep");
}

std::optional<double> AsDouble(const Value& v) {
  if (const bool* b = v.as_bool()) return *b ? 1.0 : 0.0;
  if (const int64_t* i = v.as_int()) return static_cast<double>(*i);
  if (const double* d = v.as_float()) return *d;
  return std::nullopt;
}

std::optional<int64_t> AsInt(const Value& v) {
  if (const bool* b = v.as_bool()) return *b ? 1 : 0;
  if (const int64_t* i = v.as_int()) return *i;
  return std::nullopt;
}

bool EqualEntries(const Entries& a, const Entries& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& entry) {
    const Value* other = Find(b, entry.first);
    return other != nullptr && Equal(entry.second, *other);
  });
}

}  // namespace

absl::StatusOr<Value> Value::List(Values items, bool tuple) {
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
  RETURN_IF_ERROR(CheckDepth(depth));
  return Value(Data(std::make_shared<const ListData>(ListData{std::move(items), tuple, depth})));
}

absl::StatusOr<Value> Value::Dict(Entries entries) {
  int depth = 1;
  for (const auto& [key, value] : entries) {
    depth = std::max({depth, key.depth() + 1, value.depth() + 1});
  }
  RETURN_IF_ERROR(CheckDepth(depth));
  return Value(Data(std::make_shared<const DictData>(DictData{std::move(entries), depth})));
}

const Values* Value::as_list() const {
  const auto* data = Pointee<const ListData>();
  return data == nullptr ? nullptr : &data->items;
}

const Entries* Value::as_dict() const {
  const auto* data = Pointee<const DictData>();
  return data == nullptr ? nullptr : &data->entries;
}

const Stmt* Value::as_macro() const {
  const auto* macro = std::get_if<const Stmt*>(&data_);
  return macro == nullptr ? nullptr : *macro;
}

const Function* Value::as_function() const {
  const auto* function = std::get_if<const Function*>(&data_);
  return function == nullptr ? nullptr : *function;
}

bool Value::is_tuple() const {
  const auto* data = Pointee<const ListData>();
  return data != nullptr && data->tuple;
}

int Value::depth() const {
  if (const auto* list = Pointee<const ListData>()) return list->depth;
  if (const auto* dict = Pointee<const DictData>()) return dict->depth;
  if (const LoopData* loop = as_loop()) return loop->depth;
  return 0;
}

std::string_view Value::type_name() const {
  static constexpr std::string_view kNames[] = {"Undefined", "None", "bool",  "int",
                                                "float",     "str",  "list",  "dict",
                                                "namespace", "loop", "macro", "function"};
  static_assert(std::size(kNames) == std::variant_size_v<Data>);
  return is_tuple() ? "tuple" : kNames[data_.index()];
}

const Value* Find(const Entries& entries, const Value& key) {
  const auto it = std::find_if(entries.begin(), entries.end(),
                               [&](const auto& entry) { return Equal(entry.first, key); });
  return it == entries.end() ? nullptr : &it->second;
}

const Value* Find(const Entries& entries, std::string_view key) {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    const Text* text = entry.first.as_text();
    return text != nullptr && text->bytes() == key;
  });
  return it == entries.end() ? nullptr : &it->second;
}

bool Equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const auto i = AsInt(a), j = AsInt(b);
    return i && j ? *i == *j : AsDouble(a) == AsDouble(b);
  }
  if (a.as_text() && b.as_text()) return a.as_text()->bytes() == b.as_text()->bytes();
  if (a.as_list() && b.as_list()) {
    return a.is_tuple() == b.is_tuple() &&
           std::equal(a.as_list()->begin(), a.as_list()->end(), b.as_list()->begin(),
                      b.as_list()->end(), Equal);
  }
  if (a.as_dict() && b.as_dict()) return EqualEntries(*a.as_dict(), *b.as_dict());
  if (a.as_namespace() || a.as_loop() || a.as_macro() || a.as_function()) {
    return a.as_namespace() == b.as_namespace() && a.as_loop() == b.as_loop() &&
           a.as_macro() == b.as_macro() && a.as_function() == b.as_function();
  }
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool Truthy(const Value& v) {
  if (v.is_undefined() || v.is_none()) return false;
  if (v.is_number()) return AsDouble(v) != 0.0;
  if (const Text* text = v.as_text()) return !text->empty();
  if (const Values* list = v.as_list()) return !list->empty();
  if (const Entries* dict = v.as_dict()) return !dict->empty();
  return true;
}

absl::Status SpendFind(size_t entries, const Value& key, Budget& budget) {
  const uint64_t before = budget.used().operations;
  RETURN_IF_ERROR(SpendWalk(key, budget));
  const uint64_t beyond_one = budget.used().operations - before - 1;
  return budget.Spend(entries / 4 + entries * beyond_one);
}

absl::Status SpendWalk(const Value& v, Budget& budget) {
  const Text* text = v.as_text();
  RETURN_IF_ERROR(budget.SpendBytes(text == nullptr ? 0 : text->size()));
  if (const Values* list = v.as_list()) {
    for (const Value& item : *list) RETURN_IF_ERROR(SpendWalk(item, budget));
  }
  if (const Entries* dict = v.as_dict()) {
    for (const auto& [key, value] : *dict) {
      RETURN_IF_ERROR(SpendWalk(key, budget));
      RETURN_IF_ERROR(SpendWalk(value, budget));
    }
  }
  return absl::OkStatus();
}

}  // namespace intactkv::jinja
