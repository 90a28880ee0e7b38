// Server-sent events over an Exchange, exactly as OpenAI clients expect them:
// "data: {json}\n\n", one line each, "data: [DONE]\n\n" last.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/http/exchange.h"

namespace intactkv {

// Thread rule: Thread-compatible, on the exchange's executor.
class SseWriter {
 public:
  // Writes the status line and headers.
  explicit SseWriter(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {
    exchange_->BeginStream("text/event-stream; charset=utf-8",
                           {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
  }
  // `json`: one line of complete UTF-8.
  void Event(std::string_view json) {
    std::string event = "data: ";
    event += json;
    event += "\n\n";
    exchange_->Write(event);
  }
  // The end of the stream.
  void Done() {
    exchange_->Write("data: [DONE]\n\n");
    exchange_->EndStream();
  }
  bool CanWrite() const { return exchange_->CanWrite(); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace intactkv
