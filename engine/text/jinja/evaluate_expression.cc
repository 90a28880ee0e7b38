#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/evaluator_state.h"
#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/functions.h"
#include "engine/text/jinja/methods.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/tests.h"

namespace intactkv::jinja {

absl::StatusOr<Value> Evaluator::EvalOptional(const ExprPtr& expr, Value fallback) {
  if (expr == nullptr) return fallback;
  return Eval(*expr);
}

absl::StatusOr<Values> Evaluator::EvalAll(const std::vector<ExprPtr>& children, size_t first,
                                          size_t count) {
  Values values;
  for (size_t i = first; i < first + count; ++i) {
    ASSIGN_OR_RETURN(Value value, Eval(*children[i]));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<Value> Evaluator::Eval(const Expr& expr) {
  const Frame frame(frames_);
  RETURN_IF_ERROR(frame.Check());
  RETURN_IF_ERROR(budget_.Spend(1));
  switch (expr.kind) {
    case ExprKind::kConst:
      return expr.constant;
    case ExprKind::kName: {
      RETURN_IF_ERROR(budget_.SpendScan(NumVisible()));
      const Value* value = Lookup(expr.name);
      if (value != nullptr) return *value;
      if (const Function* function = FindFunction(expr.name)) return Value::Of(function);
      return Value::MakeUndefined("'" + expr.name + "' is undefined");
    }
    case ExprKind::kList:
    case ExprKind::kTuple: {
      ASSIGN_OR_RETURN(Values items, EvalAll(expr.children, 0, expr.children.size()));
      return Value::List(std::move(items), expr.kind == ExprKind::kTuple);
    }
    case ExprKind::kDict:
      return EvalDict(expr);
    case ExprKind::kAttribute:
    case ExprKind::kItem:
    case ExprKind::kSlice:
      return EvalSubscript(expr);
    case ExprKind::kCall:
      return EvalCall(expr);
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return EvalFilterOrTest(expr);
    case ExprKind::kNegate:
    case ExprKind::kPlus:
    case ExprKind::kBinary:
      return EvalBinary(expr);
    case ExprKind::kCompare:
      return EvalCompare(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr:
    case ExprKind::kNot:
    case ExprKind::kConditional:
      return EvalLogic(expr);
  }
  return Internal("chat template: unknown expression");
}

absl::StatusOr<Value> Evaluator::EvalDict(const Expr& expr) {
  Entries entries;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    ASSIGN_OR_RETURN(Value key, Eval(*expr.children[i]));
    ASSIGN_OR_RETURN(Value value, Eval(*expr.children[i + 1]));
    RETURN_IF_ERROR(SpendFind(entries.size(), key, budget_));
    const auto same = [&](const auto& entry) { return Equal(entry.first, key); };
    const auto it = std::find_if(entries.begin(), entries.end(), same);
    if (it != entries.end()) {
      it->second = std::move(value);
    } else {
      entries.emplace_back(std::move(key), std::move(value));
    }
  }
  return Value::Dict(std::move(entries));
}

absl::StatusOr<Value> Evaluator::EvalBinary(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value a, Eval(*expr.children[0]));
  if (expr.kind == ExprKind::kNegate) return Negate(a);
  if (expr.kind == ExprKind::kPlus) {
    if (!a.is_number()) return InvalidArgument("chat template: unary + of a non-number");
    return a;
  }
  ASSIGN_OR_RETURN(const Value b, Eval(*expr.children[1]));
  return Binary(expr.name, a, b, budget_);
}

absl::StatusOr<Value> Evaluator::EvalSubscript(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value object, Eval(*expr.children[0]));
  if (expr.kind == ExprKind::kAttribute) return GetAttribute(object, expr.name, budget_);
  if (expr.kind == ExprKind::kItem) {
    ASSIGN_OR_RETURN(const Value key, Eval(*expr.children[1]));
    return GetItem(object, key, budget_);
  }
  SliceBounds bounds;
  ASSIGN_OR_RETURN(bounds.start, EvalOptional(expr.children[1], Value::MakeNone()));
  ASSIGN_OR_RETURN(bounds.stop, EvalOptional(expr.children[2], Value::MakeNone()));
  ASSIGN_OR_RETURN(bounds.step, EvalOptional(expr.children[3], Value::MakeNone()));
  return GetSlice(object, bounds, budget_);
}

absl::StatusOr<Value> Evaluator::EvalCompare(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.children[0]));
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Eval(*expr.children[i + 1]));
    ASSIGN_OR_RETURN(const bool holds, Compare(expr.operators[i], left, right, budget_));
    if (!holds) return Value::Of(false);
    left = std::move(right);
  }
  return Value::Of(true);
}

absl::StatusOr<Value> Evaluator::EvalLogic(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value first, Eval(*expr.children[0]));
  switch (expr.kind) {
    case ExprKind::kNot:
      return Value::Of(!Truthy(first));
    case ExprKind::kAnd:
      return Truthy(first) ? Eval(*expr.children[1]) : first;
    case ExprKind::kOr:
      return Truthy(first) ? first : Eval(*expr.children[1]);
    default:
      if (Truthy(first)) return Eval(*expr.children[1]);
      return EvalOptional(expr.children[2],
                          Value::MakeUndefined("the condition is false and there is no else"));
  }
}

absl::StatusOr<Arguments> Evaluator::EvalArguments(const Expr& expr) {
  const size_t positional = expr.children.size() - 1 - expr.keywords.size();
  Arguments arguments;
  ASSIGN_OR_RETURN(arguments.positional, EvalAll(expr.children, 1, positional));
  ASSIGN_OR_RETURN(Values named, EvalAll(expr.children, 1 + positional, expr.keywords.size()));
  for (size_t i = 0; i < named.size(); ++i) {
    arguments.named.emplace_back(expr.keywords[i], std::move(named[i]));
  }
  return arguments;
}

absl::StatusOr<Value> Evaluator::EvalFilterOrTest(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value input, Eval(*expr.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  if (expr.kind == ExprKind::kFilter) return ApplyFilter(expr.name, input, arguments, budget_);
  ASSIGN_OR_RETURN(const bool holds, ApplyTest(expr.name, input, arguments, budget_));
  return Value::Of(holds);
}

absl::StatusOr<Value> Evaluator::EvalCall(const Expr& expr) {
  const Expr& callee = *expr.children[0];
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  if (callee.kind == ExprKind::kAttribute) return CallAttribute(callee, arguments);
  ASSIGN_OR_RETURN(const Value value, Eval(callee));
  if (value.is_undefined()) return UndefinedError(value);
  if (value.as_macro() != nullptr) return CallMacro(*value.as_macro(), arguments);
  const Function* function = value.as_function();
  if (function == nullptr) {
    return InvalidArgument("chat template: " + std::string(value.type_name()) +
                           " cannot be called");
  }
  if (function->name == "namespace") {
    ASSIGN_OR_RETURN(std::shared_ptr<NamespaceData> data, MakeNamespace(arguments));
    namespaces_.push_back(data);
    return Value::Of(std::move(data));
  }
  return CallFunction(*function, arguments, environment_.now_unix_seconds, budget_);
}

absl::StatusOr<Value> Evaluator::CallAttribute(const Expr& callee, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value object, Eval(*callee.children[0]));
  if (object.as_namespace() || object.as_dict()) {
    ASSIGN_OR_RETURN(const Value value, GetAttribute(object, callee.name, budget_));
    if (value.as_macro() != nullptr) return CallMacro(*value.as_macro(), arguments);
  }
  if (const LoopData* loop = object.as_loop(); loop != nullptr && callee.name == "cycle") {
    const Values& items = arguments.positional;
    if (items.empty()) return InvalidArgument("chat template: cycle of nothing");
    return items[loop->index % items.size()];
  }
  return CallMethod(object, callee.name, arguments, budget_);
}

absl::StatusOr<Value> Evaluator::CallMacro(const Stmt& macro, const Arguments& arguments) {
  std::vector<std::string_view> names;
  for (const Parameter& parameter : macro.parameters) names.push_back(parameter.name);
  ASSIGN_OR_RETURN(Values bound, Bind(arguments, names, "macro '" + macro.targets[0] + "'"));
  const size_t outer_scope = std::exchange(first_scope_, scopes_.size());
  scopes_.emplace_back();
  for (size_t i = 0; i < bound.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    if (bound[i].is_undefined() && parameter.default_value != nullptr) {
      ASSIGN_OR_RETURN(bound[i], Eval(*parameter.default_value));
    }
    RETURN_IF_ERROR(Assign(parameter.name, bound[i]));
  }
  ASSIGN_OR_RETURN(Text text, Capture(macro.body));
  scopes_.resize(first_scope_);
  first_scope_ = outer_scope;
  return Value::Of(std::move(text));
}

}  // namespace intactkv::jinja
