// The evaluator's state, shared by the halves for statements and for expressions.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/status_macros.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

// Frames of Eval and Run on the stack; bounds what macros can do to it.
inline constexpr int kMaxFrames = 300;

enum class Flow { kNext, kBreak, kContinue };

using Scope = std::vector<std::pair<std::string, Value>>;

// One rendering. Thread-compatible.
class Evaluator {
 public:
  explicit Evaluator(const Environment& environment)
      : environment_(environment), budget_(environment.limits), scopes_(1) {}
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  ~Evaluator() {
    for (const auto& data : namespaces_) data->attributes.clear();  // cycles end here
  }

  absl::StatusOr<Text> Render(const Body& body);

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

  // The caller pays (SpendScan of NumVisible()).
  const Value* Lookup(std::string_view name) const;
  size_t NumVisible() const;  // variables that Lookup may look at
  absl::Status Assign(const std::string& name, Value value);
  absl::Status AssignTargets(const std::vector<std::string>& targets, const Value& value);

  const Environment& environment_;
  Budget budget_;
  std::vector<Scope> scopes_;  // [0] the template's own; a macro sees that one and its own
  size_t first_scope_ = 0;     // of the running macro
  int frames_ = 0;
  Text out_;
  std::vector<std::shared_ptr<NamespaceData>> namespaces_;
};

}  // namespace intactkv::jinja
