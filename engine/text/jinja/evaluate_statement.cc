#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/evaluator_state.h"
#include "engine/text/jinja/operators.h"

namespace intactkv::jinja {

absl::StatusOr<Text> Evaluator::Render(const Body& body) {
  RETURN_IF_ERROR(Run(body).status());
  return std::move(out_);
}

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

size_t Evaluator::NumVisible() const {
  size_t count = environment_.globals.size();
  for (size_t i = first_scope_; i < scopes_.size(); ++i) count += scopes_[i].size();
  return first_scope_ == 0 ? count : count + scopes_[0].size();
}

absl::Status Evaluator::Assign(const std::string& name, Value value) {
  RETURN_IF_ERROR(budget_.SpendScan(scopes_.back().size()));
  for (auto& [key, old] : scopes_.back()) {
    if (key == name) {
      old = std::move(value);
      return absl::OkStatus();
    }
  }
  scopes_.back().emplace_back(name, std::move(value));
  return absl::OkStatus();
}

absl::Status Evaluator::AssignTargets(const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) return Assign(targets[0], value);
  ASSIGN_OR_RETURN(const Values items, Iterate(value, budget_));
  if (items.size() != targets.size()) {
    return InvalidArgument("chat template: " + std::to_string(items.size()) + " values for " +
                           std::to_string(targets.size()) + " names");
  }
  for (size_t i = 0; i < items.size(); ++i) RETURN_IF_ERROR(Assign(targets[i], items[i]));
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
      RETURN_IF_ERROR(Assign(stmt.targets[0], Value::Of(&stmt)));
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
    RETURN_IF_ERROR(Assign("loop", Value::Of(std::shared_ptr<const LoopData>(loop))));
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
  RETURN_IF_ERROR(budget_.SpendScan(NumVisible()));
  const Value* target = Lookup(stmt.targets[0]);
  NamespaceData* data = target == nullptr ? nullptr : target->as_namespace();
  if (data == nullptr) {
    return InvalidArgument("chat template: '" + stmt.targets[0] + "' is no namespace");
  }
  RETURN_IF_ERROR(budget_.SpendScan(data->attributes.size()));
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
  RETURN_IF_ERROR(Assign(std::string(kCaptured), Value::Of(std::move(text))));
  const absl::StatusOr<Value> value = stmt.expr != nullptr ? Eval(*stmt.expr) : *Lookup(kCaptured);
  scopes_.pop_back();
  RETURN_IF_ERROR(value.status());
  return AssignTargets(stmt.targets, *value);
}

absl::StatusOr<Text> Render(const Body& body, const Environment& environment) {
  return Evaluator(environment).Render(body);
}

}  // namespace intactkv::jinja
