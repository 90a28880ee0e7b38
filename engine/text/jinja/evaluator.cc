#include "engine/text/jinja/evaluator.h"

#include <algorithm>
#include <memory>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/functions.h"
#include "engine/text/jinja/methods.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/tests.h"

namespace intactkv::jinja {

namespace {

// Frames of Eval and Run on the stack; bounds what macros can do to it.
constexpr int kMaxFrames = 300;

enum class Flow { kNext, kBreak, kContinue };

using Scope = std::vector<std::pair<std::string, Value>>;

class Evaluator {
 public:
  explicit Evaluator(const Environment& environment)
      : environment_(environment), budget_(environment.limits), scopes_(1) {}
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  ~Evaluator() {
    for (const auto& data : namespaces_) data->attributes.clear();  // cycles end here
  }

  absl::StatusOr<Text> Render(const Body& body) {
    RETURN_IF_ERROR(Run(body).status());
    return std::move(out_);
  }

 private:
  class Frame {
   public:
    explicit Frame(int& frames) : frames_(frames) { ++frames_; }
    ~Frame() { --frames_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    absl::Status Check() const {
      if (frames_ <= kMaxFrames) return absl::OkStatus();
      return ResourceExhausted("chat template: calls nested too deep");
    }

   private:
    int& frames_;
  };

  absl::StatusOr<Flow> Run(const Body& body);
  absl::StatusOr<Flow> RunOne(const Stmt& stmt);
  absl::StatusOr<Flow> RunIf(const Stmt& stmt);
  absl::StatusOr<Flow> RunFor(const Stmt& stmt);
  absl::StatusOr<Values> LoopItems(const Stmt& stmt);
  absl::Status RunSet(const Stmt& stmt);
  absl::Status RunSetBlock(const Stmt& stmt);
  absl::Status Write(const Text& text);
  absl::StatusOr<Text> Capture(const Body& body);

  absl::StatusOr<Value> Eval(const Expr& expr);
  absl::StatusOr<Value> EvalOptional(const ExprPtr& expr, Value fallback);
  absl::StatusOr<Values> EvalAll(const std::vector<ExprPtr>& children, size_t first, size_t count);
  absl::StatusOr<Value> EvalDict(const Expr& expr);
  absl::StatusOr<Value> EvalBinary(const Expr& expr);
  absl::StatusOr<Value> EvalSubscript(const Expr& expr);
  absl::StatusOr<Value> EvalCompare(const Expr& expr);
  absl::StatusOr<Value> EvalLogic(const Expr& expr);
  absl::StatusOr<Value> EvalFilterOrTest(const Expr& expr);
  absl::StatusOr<Value> EvalCall(const Expr& expr);
  absl::StatusOr<Value> CallAttribute(const Expr& callee, const Arguments& arguments);
  absl::StatusOr<Value> CallMacro(const Stmt& macro, const Arguments& arguments);
  absl::StatusOr<Arguments> EvalArguments(const Expr& expr);

  const Value* Lookup(std::string_view name) const;
  void Assign(const std::string& name, Value value);
  absl::Status AssignTargets(const std::vector<std::string>& targets, const Value& value);

  const Environment& environment_;
  Budget budget_;
  std::vector<Scope> scopes_;  // [0] the template's own; a macro sees that one and its own
  size_t first_scope_ = 0;     // of the running macro
  int frames_ = 0;
  Text out_;
  std::vector<std::shared_ptr<NamespaceData>> namespaces_;
};

const Value* Evaluator::Lookup(std::string_view name) const {
  const auto in = [&](const Scope& scope) -> const Value* {
    const auto it = std::find_if(scope.begin(), scope.end(),
                                 [&](const auto& variable) { return variable.first == name; });
    return it == scope.end() ? nullptr : &it->second;
  };
  for (size_t i = scopes_.size(); i-- > first_scope_;) {
    if (const Value* value = in(scopes_[i])) return value;
  }
  if (const Value* value = in(scopes_[0])) return value;
  return in(environment_.globals);
}

void Evaluator::Assign(const std::string& name, Value value) {
  for (auto& [key, old] : scopes_.back()) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  scopes_.back().emplace_back(name, std::move(value));
}

absl::Status Evaluator::AssignTargets(const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) {
    Assign(targets[0], value);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Values items, Iterate(value, budget_));
  if (items.size() != targets.size()) {
    return InvalidArgument("chat template: " + std::to_string(items.size()) + " values for " +
                           std::to_string(targets.size()) + " names");
  }
  for (size_t i = 0; i < items.size(); ++i) Assign(targets[i], items[i]);
  return absl::OkStatus();
}

absl::Status Evaluator::Write(const Text& text) {
  RETURN_IF_ERROR(budget_.SpendOutput(text.size()));
  out_.Append(text);
  return absl::OkStatus();
}

absl::StatusOr<Text> Evaluator::Capture(const Body& body) {
  Text outer = std::exchange(out_, Text());
  const absl::Status status = Run(body).status();
  Text captured = std::exchange(out_, std::move(outer));
  RETURN_IF_ERROR(status);
  return captured;
}

absl::StatusOr<Flow> Evaluator::Run(const Body& body) {
  const Frame frame(frames_);
  RETURN_IF_ERROR(frame.Check());
  for (const auto& stmt : body) {
    RETURN_IF_ERROR(budget_.Spend(1));
    ASSIGN_OR_RETURN(const Flow flow, RunOne(*stmt));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Flow> Evaluator::RunOne(const Stmt& stmt) {
  switch (stmt.kind) {
    case StmtKind::kText:
      RETURN_IF_ERROR(Write(Text(stmt.text, Origin::kTemplate)));
      return Flow::kNext;
    case StmtKind::kOutput: {
      ASSIGN_OR_RETURN(const Value value, Eval(*stmt.expr));
      ASSIGN_OR_RETURN(const Text text, ToText(value, budget_));
      RETURN_IF_ERROR(Write(text));
      return Flow::kNext;
    }
    case StmtKind::kIf:
      return RunIf(stmt);
    case StmtKind::kFor:
      return RunFor(stmt);
    case StmtKind::kSet:
      RETURN_IF_ERROR(RunSet(stmt));
      return Flow::kNext;
    case StmtKind::kSetBlock:
      RETURN_IF_ERROR(RunSetBlock(stmt));
      return Flow::kNext;
    case StmtKind::kMacro:
      Assign(stmt.targets[0], Value::Of(&stmt));
      return Flow::kNext;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Internal("chat template: unknown statement");
}

absl::StatusOr<Flow> Evaluator::RunIf(const Stmt& stmt) {
  for (const Branch& branch : stmt.branches) {
    ASSIGN_OR_RETURN(const Value condition, EvalOptional(branch.condition, Value::Of(true)));
    if (Truthy(condition)) return Run(branch.body);
  }
  return Flow::kNext;
}

// The items that pass the loop's own `if`.
absl::StatusOr<Values> Evaluator::LoopItems(const Stmt& stmt) {
  ASSIGN_OR_RETURN(const Value iterable, Eval(*stmt.expr));
  ASSIGN_OR_RETURN(Values items, Iterate(iterable, budget_));
  if (stmt.condition == nullptr) return items;
  Values kept;
  for (Value& item : items) {
    scopes_.back().clear();
    RETURN_IF_ERROR(AssignTargets(stmt.targets, item));
    ASSIGN_OR_RETURN(const Value condition, Eval(*stmt.condition));
    if (Truthy(condition)) kept.push_back(std::move(item));
  }
  return kept;
}

absl::StatusOr<Flow> Evaluator::RunFor(const Stmt& stmt) {
  scopes_.emplace_back();
  absl::StatusOr<Values> items = LoopItems(stmt);
  if (!items.ok()) return items.status();
  const auto loop = std::make_shared<LoopData>();
  for (const Value& item : *items) loop->depth = std::max(loop->depth, item.depth() + 1);
  loop->items = *std::move(items);
  bool completed = false;  // some iteration reached its end: what Jinja's `else` looks at
  for (loop->index = 0; loop->index < loop->items.size(); ++loop->index) {
    RETURN_IF_ERROR(budget_.Spend(1));
    scopes_.back().clear();
    Assign("loop", Value::Of(std::shared_ptr<const LoopData>(loop)));
    RETURN_IF_ERROR(AssignTargets(stmt.targets, loop->items[loop->index]));
    ASSIGN_OR_RETURN(const Flow flow, Run(stmt.body));
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNext;
  }
  scopes_.pop_back();
  return completed ? Flow::kNext : Run(stmt.else_body);
}

absl::Status Evaluator::RunSet(const Stmt& stmt) {
  ASSIGN_OR_RETURN(Value value, Eval(*stmt.expr));
  if (stmt.attribute.empty()) return AssignTargets(stmt.targets, value);
  const Value* target = Lookup(stmt.targets[0]);
  NamespaceData* data = target == nullptr ? nullptr : target->as_namespace();
  if (data == nullptr) {
    return InvalidArgument("chat template: '" + stmt.targets[0] + "' is no namespace");
  }
  for (auto& [name, old] : data->attributes) {
    if (name == stmt.attribute) {
      old = std::move(value);
      return absl::OkStatus();
    }
  }
  data->attributes.emplace_back(stmt.attribute, std::move(value));
  return absl::OkStatus();
}

absl::Status Evaluator::RunSetBlock(const Stmt& stmt) {
  scopes_.emplace_back();
  ASSIGN_OR_RETURN(Text text, Capture(stmt.body));
  scopes_.back().clear();
  Assign(std::string(kCaptured), Value::Of(std::move(text)));
  const absl::StatusOr<Value> value = stmt.expr != nullptr ? Eval(*stmt.expr) : *Lookup(kCaptured);
  scopes_.pop_back();
  RETURN_IF_ERROR(value.status());
  return AssignTargets(stmt.targets, *value);
}

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
      const Value* value = Lookup(expr.name);
      return value != nullptr ? *value : Value::MakeUndefined("'" + expr.name + "' is undefined");
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
    RETURN_IF_ERROR(SpendWalk(key, budget_));
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
  if (expr.kind == ExprKind::kAttribute) return GetAttribute(object, expr.name);
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
  if (callee.kind == ExprKind::kName && Lookup(callee.name) == nullptr) {
    if (callee.name == "namespace") {
      ASSIGN_OR_RETURN(std::shared_ptr<NamespaceData> data, MakeNamespace(arguments));
      namespaces_.push_back(data);
      return Value::Of(std::move(data));
    }
    return CallFunction(callee.name, arguments, environment_.now_unix_seconds, budget_);
  }
  ASSIGN_OR_RETURN(const Value value, Eval(callee));
  if (value.as_macro() != nullptr) return CallMacro(*value.as_macro(), arguments);
  return InvalidArgument("chat template: " + std::string(value.type_name()) + " cannot be called");
}

absl::StatusOr<Value> Evaluator::CallAttribute(const Expr& callee, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value object, Eval(*callee.children[0]));
  if (object.as_namespace() || object.as_dict()) {
    ASSIGN_OR_RETURN(const Value value, GetAttribute(object, callee.name));
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
    Assign(parameter.name, bound[i]);
  }
  ASSIGN_OR_RETURN(Text text, Capture(macro.body));
  scopes_.resize(first_scope_);
  first_scope_ = outer_scope;
  return Value::Of(std::move(text));
}

}  // namespace

absl::StatusOr<Text> Render(const Body& body, const Environment& environment) {
  return Evaluator(environment).Render(body);
}

}  // namespace intactkv::jinja
