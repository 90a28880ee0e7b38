// What the server says of itself over gRPC.
#pragma once

#include <cstdint>

#include "intactkv/v1/intactkv.pb.h"
#include "server/grpc/grpc_server.h"
#include "server/request/server_context.h"

namespace intactkv {

v1::ModelInfo ToModelInfo(const GrpcServerOptions& options, const ServedModel& model);
// Without model and pins while loading.
v1::ServerInfo ToServerInfo(const GrpcServerOptions& options, const ServerContext& context,
                            int64_t max_message_bytes);

}  // namespace intactkv
