// The gRPC listener: the service of proto/intactkv/v1, grpc.health.v1 and reflection on one port.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/request/completion_stream.h"
#include "server/request/server_context.h"

namespace intactkv {

struct GrpcServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;                // 0 takes a free one
  std::string server_version;  // this and what follows: for GetModelInfo and GetServerInfo
  std::string weights, activations, pin_dtype;  // names of the formats served
  int64_t max_running = 0, max_queue = 0, max_tokens_per_step = 0;
  absl::Duration request_timeout = absl::Seconds(600);  // one generation, from arrival
  absl::Duration send_stall = absl::Seconds(30);        // a write without progress ends its call
};

// Thread-compatible; the service inside is Thread-safe.
class GrpcServer {
 public:
  virtual ~GrpcServer() = default;
  // `context` outlives the server. `make_post` gives each call an executor of its own: one closure
  // at a time, on the I/O threads. Health is NOT_SERVING until SetServing(true). kUnavailable: the
  // address can't be bound.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           const ServerContext* context,
                                                           std::function<PostFn()> make_post);
  virtual int port() const = 0;
  virtual int64_t num_calls()
      const = 0;  // of Generate and GenerateUnary, not yet done; Thread-safe
  virtual void SetServing(bool serving) = 0;
  // No new calls; running ones may finish until `deadline`, then they are cancelled. Returns when
  // all are done.
  virtual void Stop(absl::Time deadline) = 0;
};

}  // namespace intactkv
