// The expressions of a template.
#pragma once

#include "absl/status/statusor.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/token_stream.h"

namespace intactkv::jinja {

// Parses from the stream's cursor, with Jinja's precedence: conditional, or, and, not, comparison,
// + and -, ~, * and friends, **, unary, then postfix, filters and tests. Thread-compatible.
class ExpressionParser {
 public:
  // `depth`: recursion of the whole parser, expressions in blocks included.
  ExpressionParser(TokenStream& tokens, int& depth) : tokens_(tokens), depth_(depth) {}

  absl::StatusOr<ExprPtr> ParseExpression();
  // Without `a if b else c` at the top: what `for ... in` takes.
  absl::StatusOr<ExprPtr> ParseOr();
  // What `|` starts, applied to `input`; the cursor stands on the first `|` or elsewhere (no
  // filter).
  absl::StatusOr<ExprPtr> ParseFilters(ExprPtr input);

 private:
  using Parse = absl::StatusOr<ExprPtr> (ExpressionParser::*)();

  ExprPtr New(ExprKind kind) const;
  absl::StatusOr<ExprPtr> Finish(ExprPtr expr) const;  // depth, and its limit
  absl::StatusOr<ExprPtr> Combine(ExprKind kind, std::string_view op, ExprPtr left, ExprPtr right);
  absl::StatusOr<ExprPtr> ParseLeft(Parse operand, std::initializer_list<std::string_view> ops);
  absl::StatusOr<ExprPtr> ParseAnd();
  absl::StatusOr<ExprPtr> ParseNot();
  absl::StatusOr<ExprPtr> ParseCompare();
  absl::StatusOr<ExprPtr> ParseSum();
  absl::StatusOr<ExprPtr> ParseConcat();
  absl::StatusOr<ExprPtr> ParseProduct();
  absl::StatusOr<ExprPtr> ParsePower();
  absl::StatusOr<ExprPtr> ParseUnary() { return ParseUnary(/*with_filters=*/true); }
  absl::StatusOr<ExprPtr> ParseUnary(bool with_filters);
  absl::StatusOr<ExprPtr> ParsePrimary();
  absl::StatusOr<ExprPtr> ParseNumber();
  absl::StatusOr<ExprPtr> ParseParenthesis();
  absl::StatusOr<ExprPtr> ParseListDisplay();
  absl::StatusOr<ExprPtr> ParseDictDisplay();
  absl::StatusOr<ExprPtr> ParsePostfix(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseSubscript(ExprPtr object);
  absl::StatusOr<ExprPtr> ParseFiltersAndTests(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseTest(ExprPtr expr);
  absl::Status ParseArguments(Expr& call);
  std::string_view CompareOperator();  // takes it; "" if there is none

  TokenStream& tokens_;
  int& depth_;
};

}  // namespace intactkv::jinja
