#include "engine/base/json_log.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/line_writer.h"

namespace intactkv {
namespace {

// Some thousand lines.
constexpr size_t kMaxWaitingBytes = size_t{1} << 20;

std::string BeginLine(std::string_view level, std::string_view event) {
  std::string line = "{\"time\":";
  AppendJsonString(line,
                   absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()));
  line += ",\"level\":";
  AppendJsonString(line, level);
  line += ",\"event\":";
  AppendJsonString(line, event);
  return line;
}

std::string DropNotice(int64_t count) {
  return BeginLine("warning", "log_lines_dropped") + ",\"count\":" + std::to_string(count) + "}\n";
}

std::atomic<LineWriter*> started_log{nullptr};

// Started by the first line. Never destroyed, so that a line may come at any time; what waits at
// exit gets its grace time.
LineWriter& Log() {
  static LineWriter* const log = [] {
    auto* writer = new LineWriter(STDERR_FILENO, kMaxWaitingBytes, DropNotice);
    started_log = writer;
    (void)std::atexit([] { (void)FlushLog(LineWriter::kGrace); });
    return writer;
  }();
  return *log;
}

}  // namespace

bool FlushLog(absl::Duration timeout) {
  LineWriter* const log = started_log;
  return log == nullptr || log->Flush(timeout);
}

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

LogLine::LogLine(std::string_view level, std::string_view event) : line_(BeginLine(level, event)) {}

LogLine::~LogLine() {
  line_ += "}\n";
  Log().Write(line_);
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
