#include "engine/text/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/tests.h"

namespace intactkv::jinja {

ExprPtr ExpressionParser::New(ExprKind kind) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = tokens_.Peek().line;
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::Finish(ExprPtr expr) const {
  for (const ExprPtr& child : expr->children) {
    if (child != nullptr) expr->depth = std::max(expr->depth, child->depth + 1);
  }
  if (expr->depth > kMaxTreeDepth) return tokens_.Error("expression too deep");
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::Combine(ExprKind kind, std::string_view op, ExprPtr left,
                                                  ExprPtr right) {
  ExprPtr expr = New(kind);
  expr->name = op;
  expr->children.push_back(std::move(left));
  expr->children.push_back(std::move(right));
  return Finish(std::move(expr));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseExpression() {
  const DepthGuard guard(depth_);
  if (guard.too_deep()) return tokens_.Error("expression too deep");
  ASSIGN_OR_RETURN(ExprPtr value, ParseOr());
  while (tokens_.SkipName("if")) {
    ExprPtr expr = New(ExprKind::kConditional);
    ASSIGN_OR_RETURN(ExprPtr condition, ParseOr());
    expr->children.push_back(std::move(condition));
    expr->children.push_back(std::move(value));
    expr->children.push_back(nullptr);
    if (tokens_.SkipName("else")) {
      ASSIGN_OR_RETURN(expr->children[2], ParseExpression());
    }
    ASSIGN_OR_RETURN(value, Finish(std::move(expr)));
  }
  return value;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseOr() {
  ASSIGN_OR_RETURN(ExprPtr left, ParseAnd());
  while (tokens_.SkipName("or")) {
    ASSIGN_OR_RETURN(ExprPtr right, ParseAnd());
    ASSIGN_OR_RETURN(left, Combine(ExprKind::kOr, "or", std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseAnd() {
  ASSIGN_OR_RETURN(ExprPtr left, ParseNot());
  while (tokens_.SkipName("and")) {
    ASSIGN_OR_RETURN(ExprPtr right, ParseNot());
    ASSIGN_OR_RETURN(left, Combine(ExprKind::kAnd, "and", std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseNot() {
  if (!tokens_.IsName("not")) return ParseCompare();
  const DepthGuard guard(depth_);
  if (guard.too_deep()) return tokens_.Error("expression too deep");
  ExprPtr expr = New(ExprKind::kNot);
  tokens_.Next();
  ASSIGN_OR_RETURN(ExprPtr operand, ParseNot());
  expr->children.push_back(std::move(operand));
  return Finish(std::move(expr));
}

std::string_view ExpressionParser::CompareOperator() {
  for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (tokens_.SkipOperator(op)) return op;
  }
  if (tokens_.SkipName("in")) return "in";
  const Token& next = tokens_.Peek(1);
  if (tokens_.IsName("not") && next.kind == TokenKind::kName && next.text == "in") {
    tokens_.Next();
    tokens_.Next();
    return "not in";
  }
  return {};
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseCompare() {
  ASSIGN_OR_RETURN(ExprPtr first, ParseSum());
  ExprPtr expr = New(ExprKind::kCompare);
  for (std::string_view op = CompareOperator(); !op.empty(); op = CompareOperator()) {
    if (expr->children.empty()) expr->children.push_back(std::move(first));
    ASSIGN_OR_RETURN(ExprPtr operand, ParseSum());
    expr->operators.emplace_back(op);
    expr->children.push_back(std::move(operand));
  }
  if (expr->children.empty()) return first;
  return Finish(std::move(expr));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseLeft(Parse operand,
                                                    std::initializer_list<std::string_view> ops) {
  ASSIGN_OR_RETURN(ExprPtr left, (this->*operand)());
  for (;;) {
    const auto* op = std::find_if(ops.begin(), ops.end(),
                                  [&](std::string_view o) { return tokens_.IsOperator(o); });
    if (op == ops.end()) return left;
    tokens_.Next();
    ASSIGN_OR_RETURN(ExprPtr right, (this->*operand)());
    ASSIGN_OR_RETURN(left, Combine(ExprKind::kBinary, *op, std::move(left), std::move(right)));
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseSum() {
  return ParseLeft(&ExpressionParser::ParseConcat, {"+", "-"});
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseConcat() {
  return ParseLeft(&ExpressionParser::ParseProduct, {"~"});
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseProduct() {
  return ParseLeft(&ExpressionParser::ParsePower, {"*", "//", "/", "%"});
}

absl::StatusOr<ExprPtr> ExpressionParser::ParsePower() {
  return ParseLeft(&ExpressionParser::ParseUnary, {"**"});
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseUnary(bool with_filters) {
  const DepthGuard guard(depth_);
  if (guard.too_deep()) return tokens_.Error("expression too deep");
  ExprPtr value;
  if (tokens_.IsOperator("-") || tokens_.IsOperator("+")) {
    ExprPtr expr = New(tokens_.IsOperator("-") ? ExprKind::kNegate : ExprKind::kPlus);
    tokens_.Next();
    ASSIGN_OR_RETURN(ExprPtr operand, ParseUnary(/*with_filters=*/false));
    expr->children.push_back(std::move(operand));
    ASSIGN_OR_RETURN(value, Finish(std::move(expr)));
  } else {
    ASSIGN_OR_RETURN(value, ParsePrimary());
  }
  ASSIGN_OR_RETURN(value, ParsePostfix(std::move(value)));
  if (!with_filters) return value;
  return ParseFiltersAndTests(std::move(value));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParsePrimary() {
  if (tokens_.Is(TokenKind::kInteger) || tokens_.Is(TokenKind::kFloat)) return ParseNumber();
  if (tokens_.IsOperator("(")) return ParseParenthesis();
  if (tokens_.IsOperator("[")) return ParseListDisplay();
  if (tokens_.IsOperator("{")) return ParseDictDisplay();
  ExprPtr expr = New(ExprKind::kConst);
  if (tokens_.Is(TokenKind::kString)) {
    std::string text;
    while (tokens_.Is(TokenKind::kString)) text += tokens_.Next().text;
    expr->constant = Value::Of(text, Origin::kTemplate);
    return expr;
  }
  if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected an expression");
  const std::string name = tokens_.Next().text;
  if (name == "true" || name == "True") {
    expr->constant = Value::Of(true);
  } else if (name == "false" || name == "False") {
    expr->constant = Value::Of(false);
  } else if (name == "none" || name == "None") {
    expr->constant = Value::MakeNone();
  } else {
    expr->kind = ExprKind::kName;
    expr->name = name;
  }
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseNumber() {
  ExprPtr expr = New(ExprKind::kConst);
  const Token& token = tokens_.Next();
  const char* begin = token.text.data();
  const char* end = begin + token.text.size();
  int64_t integer = 0;
  double real = 0;
  const bool is_float = token.kind == TokenKind::kFloat;
  const auto result =
      is_float ? std::from_chars(begin, end, real) : std::from_chars(begin, end, integer);
  if (result.ec != std::errc() || result.ptr != end) return tokens_.Error("number out of range");
  expr->constant = is_float ? Value::Of(real) : Value::Of(integer);
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseParenthesis() {
  ExprPtr tuple = New(ExprKind::kTuple);
  RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  bool comma = false;
  while (!tokens_.SkipOperator(")")) {
    ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    tuple->children.push_back(std::move(item));
    if (tokens_.SkipOperator(")")) break;
    RETURN_IF_ERROR(tokens_.ExpectOperator(","));
    comma = true;
  }
  if (tuple->children.size() == 1 && !comma) return std::move(tuple->children[0]);
  return Finish(std::move(tuple));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseListDisplay() {
  ExprPtr list = New(ExprKind::kList);
  RETURN_IF_ERROR(tokens_.ExpectOperator("["));
  while (!tokens_.SkipOperator("]")) {
    ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    list->children.push_back(std::move(item));
    if (tokens_.SkipOperator("]")) break;
    RETURN_IF_ERROR(tokens_.ExpectOperator(","));
  }
  return Finish(std::move(list));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseDictDisplay() {
  ExprPtr dict = New(ExprKind::kDict);
  RETURN_IF_ERROR(tokens_.ExpectOperator("{"));
  while (!tokens_.SkipOperator("}")) {
    ASSIGN_OR_RETURN(ExprPtr key, ParseExpression());
    RETURN_IF_ERROR(tokens_.ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
    dict->children.push_back(std::move(key));
    dict->children.push_back(std::move(value));
    if (tokens_.SkipOperator("}")) break;
    RETURN_IF_ERROR(tokens_.ExpectOperator(","));
  }
  return Finish(std::move(dict));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParsePostfix(ExprPtr expr) {
  for (;;) {
    if (tokens_.IsOperator("[")) {
      ASSIGN_OR_RETURN(expr, ParseSubscript(std::move(expr)));
    } else if (tokens_.IsOperator("(")) {
      ExprPtr call = New(ExprKind::kCall);
      call->children.push_back(std::move(expr));
      RETURN_IF_ERROR(ParseArguments(*call));
      ASSIGN_OR_RETURN(expr, Finish(std::move(call)));
    } else if (tokens_.SkipOperator(".")) {
      ExprPtr attribute = New(ExprKind::kAttribute);
      attribute->children.push_back(std::move(expr));
      if (tokens_.Is(TokenKind::kInteger)) {
        attribute->kind = ExprKind::kItem;
        ASSIGN_OR_RETURN(ExprPtr index, ParseNumber());
        attribute->children.push_back(std::move(index));
      } else {
        if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected a name after '.'");
        attribute->name = tokens_.Next().text;
      }
      ASSIGN_OR_RETURN(expr, Finish(std::move(attribute)));
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseSubscript(ExprPtr object) {
  ExprPtr expr = New(ExprKind::kItem);
  expr->children.push_back(std::move(object));
  RETURN_IF_ERROR(tokens_.ExpectOperator("["));
  ExprPtr part;
  if (!tokens_.IsOperator(":")) {
    ASSIGN_OR_RETURN(part, ParseExpression());
    if (tokens_.SkipOperator("]")) {
      expr->children.push_back(std::move(part));
      return Finish(std::move(expr));
    }
  }
  expr->kind = ExprKind::kSlice;
  expr->children.push_back(std::move(part));
  while (expr->children.size() < 4 && tokens_.SkipOperator(":")) {
    part = nullptr;
    if (!tokens_.IsOperator(":") && !tokens_.IsOperator("]")) {
      ASSIGN_OR_RETURN(part, ParseExpression());
    }
    expr->children.push_back(std::move(part));
  }
  RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  expr->children.resize(4);
  return Finish(std::move(expr));
}

absl::Status ExpressionParser::ParseArguments(Expr& call) {
  RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  while (!tokens_.SkipOperator(")")) {
    const Token& next = tokens_.Peek(1);
    const bool keyword =
        tokens_.Is(TokenKind::kName) && next.kind == TokenKind::kOperator && next.text == "=";
    if (keyword) {
      call.keywords.push_back(tokens_.Next().text);
      tokens_.Next();
    } else if (!call.keywords.empty()) {
      return tokens_.Error("positional argument after a named one");
    }
    ASSIGN_OR_RETURN(ExprPtr argument, ParseExpression());
    call.children.push_back(std::move(argument));
    if (tokens_.SkipOperator(")")) break;
    RETURN_IF_ERROR(tokens_.ExpectOperator(","));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseFilters(ExprPtr input) {
  while (tokens_.SkipOperator("|")) {
    ExprPtr filter = New(ExprKind::kFilter);
    if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected the name of a filter");
    filter->name = tokens_.Peek().text;
    if (!IsFilter(filter->name)) {
      return Unimplemented(tokens_.Where() + "filter '" + filter->name + "' is not supported");
    }
    tokens_.Next();
    filter->children.push_back(std::move(input));
    if (tokens_.IsOperator("(")) RETURN_IF_ERROR(ParseArguments(*filter));
    ASSIGN_OR_RETURN(input, Finish(std::move(filter)));
  }
  return input;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseFiltersAndTests(ExprPtr expr) {
  for (;;) {
    if (tokens_.IsOperator("|")) {
      ASSIGN_OR_RETURN(expr, ParseFilters(std::move(expr)));
    } else if (tokens_.SkipName("is")) {
      ASSIGN_OR_RETURN(expr, ParseTest(std::move(expr)));
    } else if (tokens_.IsOperator("(")) {
      return tokens_.Error("a filter's result cannot be called");
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseTest(ExprPtr expr) {
  const bool negated = tokens_.SkipName("not");
  ExprPtr test = New(ExprKind::kTest);
  if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected the name of a test");
  test->name = tokens_.Peek().text;
  if (!IsTest(test->name)) {
    return Unimplemented(tokens_.Where() + "test '" + test->name + "' is not supported");
  }
  tokens_.Next();
  test->children.push_back(std::move(expr));
  const Token& next = tokens_.Peek();
  const bool operand = next.kind == TokenKind::kString || next.kind == TokenKind::kInteger ||
                       next.kind == TokenKind::kFloat || tokens_.IsOperator("[") ||
                       tokens_.IsOperator("{") ||
                       (next.kind == TokenKind::kName && next.text != "else" && next.text != "or" &&
                        next.text != "and" && next.text != "is" && next.text != "if" &&
                        next.text != "in" && next.text != "not");
  if (tokens_.IsOperator("(")) {
    RETURN_IF_ERROR(ParseArguments(*test));
  } else if (operand) {
    ASSIGN_OR_RETURN(ExprPtr argument, ParsePrimary());
    ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    test->children.push_back(std::move(argument));
  }
  ASSIGN_OR_RETURN(ExprPtr result, Finish(std::move(test)));
  if (!negated) return result;
  ExprPtr inverse = New(ExprKind::kNot);
  inverse->children.push_back(std::move(result));
  return Finish(std::move(inverse));
}

}  // namespace intactkv::jinja
