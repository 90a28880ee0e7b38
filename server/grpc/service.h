// The service of proto/intactkv/v1: one method each, over the same validated requests as REST.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>

#include "intactkv/v1/intactkv.grpc.pb.h"
#include "server/grpc/generation_call.h"
#include "server/grpc/grpc_server.h"
#include "server/grpc/running_calls.h"
#include "server/request/server_context.h"

namespace intactkv {

inline constexpr int kMaxMessageBytes = 4 << 20;

// All methods take and give bytes, see message_bytes.h.
using RawService = v1::IntactKV::WithRawCallbackMethod_Generate<
    v1::IntactKV::WithRawCallbackMethod_GenerateUnary<v1::IntactKV::WithRawCallbackMethod_Abort<
        v1::IntactKV::WithRawCallbackMethod_Tokenize<v1::IntactKV::WithRawCallbackMethod_Detokenize<
            v1::IntactKV::WithRawCallbackMethod_GetModelInfo<
                v1::IntactKV::WithRawCallbackMethod_GetServerInfo<v1::IntactKV::Service>>>>>>>;

// Thread-safe. gRPC calls the methods on its threads; what takes time goes to
// ServingParts::encoder.
class IntactKvService final : public RawService {
 public:
  IntactKvService(GrpcServerOptions options, const ServerContext* context,
                  std::function<PostFn()> make_post);

  int64_t num_calls() const { return num_calls_.load(); }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* call,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* GenerateUnary(grpc::CallbackServerContext* call,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* call,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* call,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* call,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* call,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* call,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  GenerateSettings Settings();
  RequestOr<v1::AbortResponse> EndCall(const grpc::ByteBuffer& bytes);
  RequestOr<v1::ModelInfo> DescribeModel(const grpc::ByteBuffer& bytes) const;
  RequestOr<v1::ServerInfo> DescribeServer(const grpc::ByteBuffer& bytes) const;

  const GrpcServerOptions options_;
  const ServerContext* const context_;
  const std::function<PostFn()> make_post_;
  std::atomic<int64_t> num_calls_{0};
  RunningCalls running_;
};

}  // namespace intactkv
