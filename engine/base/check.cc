#include "engine/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace intactkv::internal {

void CheckFailed(const char* file, int line, const char* expression, const std::string& message) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s %s\n", file, line, expression, message.c_str());
  std::abort();
}

}  // namespace intactkv::internal
