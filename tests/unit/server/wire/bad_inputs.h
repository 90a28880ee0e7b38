// The table of bad inputs: every route with every kind of fault that it can meet, and what the
// client must be told. Drives both wires.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/http/router.h"

namespace intactkv::test {

enum class Fault {
  kMalformed,
  kOversized,
  kTooDeep,
  kWrongType,
  kOutOfRange,
  kUnsupported,
  kUnknownModel,
  kPromptTooLong,
  kUnknownRoute,
  kWrongMethod,
};
const char* Name(Fault fault);

struct BadInput {
  std::string name;
  Fault fault = Fault::kMalformed;
  std::string route;    // the route it belongs to, as registered: "POST /v1/completions"
  std::string request;  // the bytes for the API listener, or for admin routes the admin listener
  int status = 400;
  std::string code;
  std::string param;       // "": null
  std::string allow = {};  // a 405's Allow field
  // The same fault as a JSON form of the gRPC request; "" where the fault cannot be said there.
  std::string grpc_request = {};
  std::string grpc_param = {};  // the field's name there, if it is another one
};

// A JSON object as it is written: names and values' texts, in order.
using JsonFields = std::vector<std::pair<std::string, std::string>>;
std::string ToJson(const JsonFields& fields);
// With `name` set to `value`, in its place or at the end.
JsonFields With(JsonFields fields, const std::string& name, const std::string& value);
JsonFields Without(JsonFields fields, const std::string& name);
std::string Repeat(const std::string& text, size_t count);

// A valid, short request of a POST route.
JsonFields GoodBody(const std::string& path);

// "POST /v1/completions".
std::string NameOf(const Router::Route& route);
// The kinds of fault that a route of this method and path must have rows for.
std::vector<Fault> FaultsOf(const Router::Route& route);

// Rows that follow from a route's method and path alone: paths beside it, other methods, bodies
// where none belongs, and for a POST everything that is no JSON object within limits.
std::vector<BadInput> RouteRows(const Router& router, const Router::Route& route);
// Rows of the fields of the two generation routes.
std::vector<BadInput> GenerationRows();
// Rows of the fields of the other routes.
std::vector<BadInput> TextRows();

}  // namespace intactkv::test
