// The parsed template. Trees are at most kMaxTreeDepth deep, so they can be walked and destroyed
// recursively.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/jinja/value.h"

namespace intactkv::jinja {

inline constexpr int kMaxTreeDepth = 100;

// The variable that holds a set block's text for its filters; no template can spell it.
inline constexpr std::string_view kCaptured = "{captured}";

enum class ExprKind {
  kConst,      // constant
  kName,       // name
  kList,       // [children]
  kTuple,      // (children)
  kDict,       // children: key, value, key, value, ...
  kAttribute,  // children[0].name
  kItem,       // children[0][children[1]]
  kSlice,      // children[0][children[1]:children[2]:children[3]], each may be null
  kCall,       // children[0](children[1...])
  kFilter,     // children[0] | name(children[1...])
  kTest,       // children[0] is name(children[1...])
  kNegate,     // -children[0]
  kPlus,       // +children[0]
  kBinary,     // children[0] name children[1], name in + - * / // % ** ~
  kCompare,    // children[0] operators[0] children[1] operators[1] children[2] ...
  kAnd,
  kOr,
  kNot,
  kConditional,  // children[1] if children[0] else children[2], which may be null
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind;
  int line = 0;   // from 1
  int depth = 1;  // of this tree
  std::string name;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<std::string> keywords;   // names of the last arguments of a call, filter or test
  std::vector<std::string> operators;  // == != < <= > >= in, and "not in"
};

enum class StmtKind { kText, kOutput, kIf, kFor, kSet, kSetBlock, kMacro, kBreak, kContinue };

using Body = std::vector<std::unique_ptr<Stmt>>;

struct Branch {
  ExprPtr condition;  // null: else
  Body body;
};

struct Parameter {
  std::string name;
  ExprPtr default_value;  // may be null
};

struct Stmt {
  StmtKind kind;
  int line = 0;
  std::string text;                   // kText
  ExprPtr expr;                       // kOutput, kFor: what is iterated, kSet: the value
  std::vector<std::string> targets;   // kFor, kSet, kSetBlock; kMacro: its name
  std::string attribute;              // kSet of a namespace: targets[0].attribute
  ExprPtr condition;                  // kFor: `if`, may be null
  std::vector<Branch> branches;       // kIf
  std::vector<Parameter> parameters;  // kMacro
  Body body;                          // kFor, kSetBlock, kMacro
  Body else_body;                     // kFor
};

}  // namespace intactkv::jinja
