// The values of a template: immutable, apart from namespaces. Nothing in here reaches outside:
// there is no attribute, method or function but those that the evaluator names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/text.h"

namespace intactkv::jinja {

class Value;
struct Stmt;

using Values = std::vector<Value>;
using Entries = std::vector<std::pair<Value, Value>>;  // in order of insertion

struct Undefined {
  std::string message;  // why, for the error when it is used
};
struct None {};
struct ListData;
struct DictData;
struct NamespaceData;
struct LoopData;

// A global function (functions.h); a template may ask whether it is there.
struct Function {
  std::string_view name;
};

// Cheap to copy. Thread-compatible.
class Value {
 public:
  Value() = default;  // undefined
  static Value MakeUndefined(std::string message) {
    return Value(Data(Undefined{std::move(message)}));
  }
  static Value MakeNone() { return Value(Data(None{})); }
  static Value Of(bool b) { return Value(Data(b)); }
  static Value Of(int64_t i) { return Value(Data(i)); }
  static Value Of(double d) { return Value(Data(d)); }
  static Value Of(Text text) { return Value(Data(std::make_shared<const Text>(std::move(text)))); }
  static Value Of(std::string_view text, Origin origin) { return Of(Text(text, origin)); }
  static Value Of(std::shared_ptr<NamespaceData> data) { return Value(Data(std::move(data))); }
  static Value Of(std::shared_ptr<const LoopData> data) { return Value(Data(std::move(data))); }
  static Value Of(const Stmt* macro) { return Value(Data(macro)); }
  static Value Of(const Function* function) { return Value(Data(function)); }
  // kInvalidArgument: lists and dicts nested more than kMaxDepth deep.
  static absl::StatusOr<Value> List(Values items, bool tuple = false);
  static absl::StatusOr<Value> Dict(Entries entries);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const int64_t* as_int() const { return std::get_if<int64_t>(&data_); }
  const double* as_float() const { return std::get_if<double>(&data_); }
  const Text* as_text() const { return Pointee<const Text>(); }
  const Values* as_list() const;
  const Entries* as_dict() const;
  NamespaceData* as_namespace() const { return Pointee<NamespaceData>(); }
  const LoopData* as_loop() const { return Pointee<const LoopData>(); }
  const Stmt* as_macro() const;
  const Function* as_function() const;
  bool is_tuple() const;
  const std::string& undefined_message() const { return std::get<Undefined>(data_).message; }
  bool is_number() const { return as_bool() || as_int() || as_float(); }

  // Nesting of lists and dicts below: bounds every recursion over values.
  int depth() const;
  // "str", "list", ...: Python's names, for error messages.
  std::string_view type_name() const;

  static constexpr int kMaxDepth = 32;

 private:
  using Data = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const ListData>, std::shared_ptr<const DictData>,
                            std::shared_ptr<NamespaceData>, std::shared_ptr<const LoopData>,
                            const Stmt*, const Function*>;
  explicit Value(Data data) : data_(std::move(data)) {}
  template <typename T>
  T* Pointee() const {
    const auto* p = std::get_if<std::shared_ptr<T>>(&data_);
    return p == nullptr ? nullptr : p->get();
  }

  Data data_;
};

struct ListData {
  Values items;
  bool tuple;
  int depth;
};

struct DictData {
  Entries entries;
  int depth;
};

// The evaluator owns all of them and empties them at its end: cycles through them do not leak.
struct NamespaceData {
  std::vector<std::pair<std::string, Value>> attributes;
};

// One running `for`.
struct LoopData {
  Values items;
  int depth = 1;     // of a list of the items
  size_t index = 0;  // from 0
};

// The value of `key`, or nullptr. The caller pays (SpendFind).
const Value* Find(const Entries& entries, const Value& key);
const Value* Find(const Entries& entries, std::string_view key);

// Pays for Find() of `key` among `entries` entries, each of which may be as long as the key.
absl::Status SpendFind(size_t entries, const Value& key, Budget& budget);

// Python's ==; identity for namespaces, loops, macros and functions.
// The caller pays (SpendWalk of both).
bool Equal(const Value& a, const Value& b);
bool Truthy(const Value& value);

// Pays for one walk over everything below `value`, before it is made: shared parts make a small
// value a large walk.
absl::Status SpendWalk(const Value& value, Budget& budget);

}  // namespace intactkv::jinja
