// The HTTP/1.1 listener: accepts, reads requests under limits and deadlines, hands them to a
// Router, and writes the answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/http/framing.h"
#include "server/http/router.h"

namespace intactkv {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // a numeric address or a name that resolves locally
  uint16_t port = 0;               // 0: a free one, see HttpServer::port()
  int io_threads = 2;
  FramingLimits limits;
  // Bodies that are being read, or read and not yet taken in by their handler, all together: a body
  // that does not fit gets 503 before it is read.
  size_t body_budget_bytes = 32 << 20;
  size_t max_connections = 10000;
  size_t max_connections_per_source = 1000;
  size_t send_buffer_bytes = 64 << 10;  // per stream
  absl::Duration head_deadline = absl::Seconds(10);
  absl::Duration body_deadline = absl::Seconds(30);
  absl::Duration min_rate_grace = absl::Seconds(5);  // then a body needs min_bytes_per_second
  double min_bytes_per_second = 1024;
  absl::Duration keep_alive_idle = absl::Seconds(75);
  absl::Duration send_stall = absl::Seconds(30);   // without progress while data waits
  double min_send_bytes_per_second = 1024;         // of a complete answer, after send_stall
  absl::Duration close_linger = absl::Seconds(2);  // reading on after an error, so that it arrives
  absl::Duration accept_backoff = absl::Milliseconds(100);  // when descriptors run out
};

// Life: construct, Start, Stop; all on one thread. Handlers run on the server's own threads, one at
// a time per connection; each connection handles one request after the other. An Engine that posts
// to connections (Exchange::Poster) must be done with every request before this is destroyed.
// Thread-compatible; the getters are Thread-safe.
class HttpServer {
 public:
  HttpServer(HttpServerOptions options, Router router);
  ~HttpServer();  // Stop(now)
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // kUnavailable: the address cannot be bound; the message names it.
  absl::Status Start();
  uint16_t port() const;

  // No new connections from now on; connections close after the answer they are at, idle ones at
  // once. Returns immediately. Idempotent.
  void BeginStop();
  // BeginStop, waits until all connections are gone or `deadline` has come, aborts the rest, joins.
  void Stop(absl::Time deadline);

  size_t num_connections() const;
  uint64_t accept_failures() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace intactkv
