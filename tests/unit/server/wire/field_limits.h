// The limits of a generation request's fields, each as a pair: the value at the edge, and the next
// one outside. Drives both wires.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/server/wire/bad_inputs.h"

namespace intactkv::test {

struct FieldLimit {
  std::string path;  // of the route
  JsonFields at_edge;
  JsonFields outside;
  std::string param;
  std::string code = "invalid_value";
  // What the value at the edge meets instead: "", an answer, or the code of a later limit.
  std::string edge_code = {};
  bool on_grpc = true;  // false: the value outside is no number there
};

std::vector<FieldLimit> FieldLimits();

// A generation request of REST in the fields of the gRPC request, as JSON.
std::string GrpcForm(const JsonFields& fields);

}  // namespace intactkv::test
