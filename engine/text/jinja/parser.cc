#include "engine/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "engine/text/jinja/expression_parser.h"

namespace intactkv::jinja {

namespace {

using StmtPtr = std::unique_ptr<Stmt>;
using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(tokens_, depth_) {}

  absl::StatusOr<Body> Run() {
    ASSIGN_OR_RETURN(Body body, ParseBody({}));
    if (!tokens_.Is(TokenKind::kEnd)) return tokens_.Error("a block ends that never began");
    return body;
  }

 private:
  StmtPtr New(StmtKind kind) const {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = tokens_.Peek().line;
    return stmt;
  }

  bool AtTag(Names names) const {
    if (!tokens_.Is(TokenKind::kBlockBegin)) return false;
    const Token& name = tokens_.Peek(1);
    return name.kind == TokenKind::kName &&
           std::find(names.begin(), names.end(), name.text) != names.end();
  }

  // Up to one of the tags `ends`, which stays, or the end of the template if there is none.
  absl::StatusOr<Body> ParseBody(Names ends) {
    const DepthGuard guard(depth_);
    if (guard.too_deep()) return tokens_.Error("blocks nested too deep");
    Body body;
    while (!AtTag(ends)) {
      if (tokens_.Is(TokenKind::kEnd)) {
        if (ends.size() == 0) break;
        return tokens_.Error("expected '" + std::string(*ends.begin()) + "'");
      }
      RETURN_IF_ERROR(ParseStatement(body));
    }
    return body;
  }

  absl::Status ParseStatement(Body& body) {
    if (tokens_.Is(TokenKind::kText)) {
      StmtPtr stmt = New(StmtKind::kText);
      stmt->text = tokens_.Next().text;
      body.push_back(std::move(stmt));
      return absl::OkStatus();
    }
    if (tokens_.Is(TokenKind::kVariableBegin)) {
      StmtPtr stmt = New(StmtKind::kOutput);
      tokens_.Next();
      ASSIGN_OR_RETURN(stmt->expr, expressions_.ParseExpression());
      RETURN_IF_ERROR(tokens_.Expect(TokenKind::kVariableEnd, {}, "'}}'"));
      body.push_back(std::move(stmt));
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(tokens_.Expect(TokenKind::kBlockBegin, {}, "a tag"));
    return ParseTag(body);
  }

  absl::Status ParseTag(Body& body) {
    if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected the name of a tag");
    const std::string where = tokens_.Where();
    const std::string name = tokens_.Next().text;
    absl::StatusOr<StmtPtr> stmt = StmtPtr();
    if (name == "if") {
      stmt = ParseIf();
    } else if (name == "for") {
      stmt = ParseFor();
    } else if (name == "set") {
      stmt = ParseSet();
    } else if (name == "macro") {
      stmt = ParseMacro();
    } else if (name == "break" || name == "continue") {
      if (loops_ == 0) return InvalidArgument(where + "'" + name + "' outside a loop");
      stmt = New(name == "break" ? StmtKind::kBreak : StmtKind::kContinue);
      RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    } else if (name == "generation") {
      return ParseGeneration(body);
    } else if (name.rfind("end", 0) == 0 || name.rfind("el", 0) == 0) {
      return InvalidArgument(where + "unexpected '" + name + "'");
    } else {
      return Unimplemented(where + "tag '" + name + "' is not supported");
    }
    if (!stmt.ok()) return stmt.status();
    body.push_back(*std::move(stmt));
    return absl::OkStatus();
  }

  // {% generation %} marks the assistant's part for training; here it is its content.
  absl::Status ParseGeneration(Body& body) {
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    ASSIGN_OR_RETURN(Body inner, ParseBody({"endgeneration"}));
    for (StmtPtr& stmt : inner) body.push_back(std::move(stmt));
    return EndTag();
  }

  absl::Status EndTag() {
    tokens_.Next();  // {%
    tokens_.Next();  // the name
    return tokens_.ExpectBlockEnd();
  }

  absl::StatusOr<StmtPtr> ParseIf() {
    StmtPtr stmt = New(StmtKind::kIf);
    bool has_condition = true;
    for (;;) {
      Branch branch;
      if (has_condition) {
        ASSIGN_OR_RETURN(branch.condition, expressions_.ParseExpression());
      }
      RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
      ASSIGN_OR_RETURN(branch.body,
                       has_condition ? ParseBody({"endif", "elif", "else"}) : ParseBody({"endif"}));
      stmt->branches.push_back(std::move(branch));
      if (AtTag({"endif"})) break;
      has_condition = AtTag({"elif"});
      tokens_.Next();
      tokens_.Next();
    }
    RETURN_IF_ERROR(EndTag());
    return stmt;
  }

  absl::Status ParseTargets(Stmt& stmt) {
    const bool parenthesis = tokens_.SkipOperator("(");
    do {
      if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected a name");
      const std::string name = tokens_.Next().text;
      if (name == "loop" && stmt.kind == StmtKind::kFor) {
        return tokens_.Error("'loop' cannot be assigned");
      }
      stmt.targets.push_back(name);
    } while (tokens_.SkipOperator(","));
    if (parenthesis) return tokens_.ExpectOperator(")");
    return absl::OkStatus();
  }

  absl::StatusOr<StmtPtr> ParseFor() {
    StmtPtr stmt = New(StmtKind::kFor);
    RETURN_IF_ERROR(ParseTargets(*stmt));
    RETURN_IF_ERROR(tokens_.Expect(TokenKind::kName, "in", "'in'"));
    ASSIGN_OR_RETURN(stmt->expr, expressions_.ParseOr());
    if (tokens_.SkipName("if")) {
      ASSIGN_OR_RETURN(stmt->condition, expressions_.ParseExpression());
    }
    if (tokens_.IsName("recursive")) {
      return Unimplemented(tokens_.Where() + "recursive loops are not supported");
    }
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    ++loops_;
    ASSIGN_OR_RETURN(stmt->body, ParseBody({"endfor", "else"}));
    --loops_;
    if (AtTag({"else"})) {
      RETURN_IF_ERROR(EndTag());
      ASSIGN_OR_RETURN(stmt->else_body, ParseBody({"endfor"}));
    }
    RETURN_IF_ERROR(EndTag());
    return stmt;
  }

  absl::StatusOr<StmtPtr> ParseSet() {
    StmtPtr stmt = New(StmtKind::kSet);
    RETURN_IF_ERROR(ParseTargets(*stmt));
    if (stmt->targets.size() == 1 && tokens_.SkipOperator(".")) {
      if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected a name after '.'");
      stmt->attribute = tokens_.Next().text;
    }
    if (tokens_.SkipOperator("=")) {
      ASSIGN_OR_RETURN(stmt->expr, expressions_.ParseExpression());
      if (tokens_.IsOperator(",")) return Unimplemented(tokens_.Where() + "tuple without '()'");
      RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
      return stmt;
    }
    if (stmt->targets.size() != 1) return tokens_.Error("expected '='");
    stmt->kind = StmtKind::kSetBlock;
    if (tokens_.IsOperator("|")) {
      // The filters' input is the captured text: a name that no template can write.
      auto input = std::make_unique<Expr>();
      input->kind = ExprKind::kName;
      input->name = kCaptured;
      ASSIGN_OR_RETURN(stmt->expr, expressions_.ParseFilters(std::move(input)));
    }
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    ASSIGN_OR_RETURN(stmt->body, ParseBody({"endset"}));
    RETURN_IF_ERROR(EndTag());
    return stmt;
  }

  absl::Status ParseParameters(Stmt& macro) {
    RETURN_IF_ERROR(tokens_.ExpectOperator("("));
    while (!tokens_.SkipOperator(")")) {
      Parameter& parameter = macro.parameters.emplace_back();
      if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected a parameter");
      parameter.name = tokens_.Next().text;
      if (tokens_.SkipOperator("=")) {
        ASSIGN_OR_RETURN(parameter.default_value, expressions_.ParseExpression());
      } else if (macro.parameters.size() > 1 && macro.parameters.end()[-2].default_value) {
        return tokens_.Error("parameter without a default after one with a default");
      }
      if (tokens_.SkipOperator(")")) break;
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<StmtPtr> ParseMacro() {
    StmtPtr stmt = New(StmtKind::kMacro);
    if (!tokens_.Is(TokenKind::kName)) return tokens_.Error("expected the macro's name");
    stmt->targets.push_back(tokens_.Next().text);
    RETURN_IF_ERROR(ParseParameters(*stmt));
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    const int outer_loops = std::exchange(loops_, 0);  // break does not cross a macro
    ASSIGN_OR_RETURN(stmt->body, ParseBody({"endmacro"}));
    loops_ = outer_loops;
    tokens_.Next();
    tokens_.Next();
    tokens_.Skip(TokenKind::kName, stmt->targets[0]);  // {% endmacro name %}
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    return stmt;
  }

  TokenStream tokens_;
  int depth_ = 0;
  int loops_ = 0;
  ExpressionParser expressions_;
};

}  // namespace

absl::StatusOr<Body> Parse(std::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Lex(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace intactkv::jinja
