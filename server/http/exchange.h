// One request and its answer, as a handler holds it: a whole response, or a stream with
// back-pressure, and the news that the client has left.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/http_types.h"

namespace intactkv {

// Given to a handler as shared_ptr; dropping it unanswered gives the client a 500 (or cuts the
// stream). All methods but Poster's function are called on the connection's executor, where
// handlers and callbacks run. After the client left every call does nothing. Thread-compatible.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const HttpRequest& request() const = 0;
  // The handler has read the body: request().body is empty from now on, and its bytes no longer
  // count against the server's budget for bodies.
  virtual void DropBody() = 0;

  // The whole answer. Once, and not together with a stream.
  virtual void Respond(HttpResponse response) = 0;

  // Status 200, `content_type`, `headers`, then the bytes of Write as they come.
  virtual void BeginStream(std::string_view content_type, std::vector<HttpHeader> headers) = 0;
  virtual void Write(std::string_view bytes) = 0;
  // False while the buffer holds its limit: wait for on_writable. A Write is taken whole in any
  // case, so the buffer is bounded by the limit plus one Write.
  virtual bool CanWrite() const = 0;
  virtual void EndStream() = 0;

  // Called when everything written so far has left for the kernel. Not called from inside Write.
  virtual void SetOnWritable(std::function<void()> callback) = 0;
  // Called once if the client leaves, stalls for too long, or the server stops, before the answer
  // was complete. Callbacks are dropped when the answer is complete.
  virtual void SetOnAbort(std::function<void()> callback) = 0;

  // Runs closures on the connection's executor. The returned function is Thread-safe and may
  // outlive the exchange, but not the server.
  virtual std::function<void(std::function<void()>)> Poster() const = 0;
};

}  // namespace intactkv
