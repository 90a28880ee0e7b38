// Structured log: one JSON object per line on stderr. One line per start-up decision and per
// finished request; none per token; never prompt text. Nobody waits for stderr: when its reader
// stops, lines are lost, and an event `log_lines_dropped` says later how many.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace intactkv {

// Builds one line; queued when it is destroyed. Usage: LogLine("info",
// "request_done").Add("tokens", 12); Thread-safe against other LogLines; one LogLine belongs to one
// thread.
class LogLine {
 public:
  LogLine(std::string_view level, std::string_view event);
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;
  ~LogLine();
  LogLine& Add(std::string_view key, std::string_view value);
  LogLine& Add(std::string_view key, const char* value) {
    return Add(key, std::string_view(value));
  }
  LogLine& Add(std::string_view key, const std::string& value) {
    return Add(key, std::string_view(value));
  }
  LogLine& Add(std::string_view key, int64_t value);
  LogLine& Add(std::string_view key, int value) { return Add(key, static_cast<int64_t>(value)); }
  LogLine& Add(std::string_view key, uint64_t value) {
    return Add(key, static_cast<int64_t>(value));
  }
  LogLine& Add(std::string_view key, double value);
  LogLine& Add(std::string_view key, bool value);

 private:
  std::string line_;
};

// Waits until all lines so far are on stderr, at most `timeout`; false if they are not. Comes by
// itself at exit and when a CHECK fails. Thread-safe.
bool FlushLog(absl::Duration timeout);

// Appends `text` to `out` as a JSON string with quotes. Bytes >= 0x80 pass through: `text` must be
// valid UTF-8.
void AppendJsonString(std::string& out, std::string_view text);

}  // namespace intactkv
