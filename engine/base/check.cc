#include "engine/base/check.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/base/json_log.h"
#include "engine/base/line_writer.h"

namespace intactkv::internal {

void CheckFailed(const char* file, int line, const char* expression, const std::string& message) {
  (void)FlushLog(LineWriter::kGrace);  // what led here
  const std::string text = std::string(file) + ":" + std::to_string(line) +
                           ": CHECK failed: " + expression + " " + message + "\n";
  std::string_view rest = text;
  // Not even a full stderr keeps a broken process alive.
  while (!rest.empty()) {
    const size_t written = WriteSome(STDERR_FILENO, rest, LineWriter::kGrace);
    if (written == 0) break;
    rest.remove_prefix(written);
  }
  std::abort();
}

}  // namespace intactkv::internal
