#include "engine/base/json_log.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace intactkv {

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (const char ch : text) {
    const auto c = static_cast<unsigned char>(ch);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c < 0x20 || c == 0x7f) {
          char buffer[8];
          std::snprintf(buffer, sizeof(buffer), "\\u%04x", c);
          out += buffer;
        } else {
          out += ch;
        }
    }
  }
  out += '"';
}

LogLine::LogLine(std::string_view level, std::string_view event) {
  line_ = "{\"time\":";
  AppendJsonString(line_,
                   absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()));
  Add("level", level);
  Add("event", event);
}

LogLine::~LogLine() {
  line_ += "}\n";
  // One write per line, so that lines of several threads do not mix; a failing stderr is not our
  // business.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line_.data(), line_.size());
}

LogLine& LogLine::Add(std::string_view key, std::string_view value) {
  line_ += ',';
  AppendJsonString(line_, key);
  line_ += ':';
  AppendJsonString(line_, value);
  return *this;
}

LogLine& LogLine::Add(std::string_view key, int64_t value) {
  line_ += ',';
  AppendJsonString(line_, key);
  line_ += ':';
  line_ += std::to_string(value);
  return *this;
}

LogLine& LogLine::Add(std::string_view key, double value) {
  line_ += ',';
  AppendJsonString(line_, key);
  line_ += ':';
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.6g", std::isfinite(value) ? value : 0.0);
  line_ += buffer;
  return *this;
}

LogLine& LogLine::Add(std::string_view key, bool value) {
  line_ += ',';
  AppendJsonString(line_, key);
  line_ += value ? ":true" : ":false";
  return *this;
}

}  // namespace intactkv
