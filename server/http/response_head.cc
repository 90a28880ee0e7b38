#include "server/http/response_head.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <random>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/rng.h"

namespace intactkv {
namespace {

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

}  // namespace

std::string RenderHead(const ResponseHead& head, const std::vector<HttpHeader>& headers) {
  std::string out = "HTTP/1.1 " + std::to_string(head.status) + " ";
  out += ReasonPhrase(head.status);
  out += "\r\n";
  AppendHeader(out, "Date",
               absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
  AppendHeader(out, "Content-Type", head.content_type);
  AppendHeader(out, "X-Request-Id", head.request_id);
  for (const HttpHeader& header : headers) AppendHeader(out, header.name, header.value);
  if (head.content_length.has_value()) {
    AppendHeader(out, "Content-Length", std::to_string(*head.content_length));
  }
  if (head.chunked) AppendHeader(out, "Transfer-Encoding", "chunked");
  if (head.close) {
    AppendHeader(out, "Connection", "close");
  } else if (head.keep_alive) {
    AppendHeader(out, "Connection", "keep-alive");
  }
  out += "\r\n";
  return out;
}

std::string NewRequestId() {
  static const uint64_t process_seed = [] {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  }();
  static std::atomic<uint64_t> counter{0};
  const uint64_t n = counter.fetch_add(1);
  char text[32];
  std::snprintf(text, sizeof(text), "req-%016llx%08x",
                static_cast<unsigned long long>(RandomBits(process_seed, n)),
                static_cast<unsigned>(n & 0xffffffffu));
  return text;
}

bool IsGoodRequestId(std::string_view id) {
  constexpr size_t kMaxLength = 128;
  return !id.empty() && id.size() <= kMaxLength &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace intactkv
