// One GenerateUnary call: keeps what its generation gives until all of it is there.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "intactkv/v1/intactkv.pb.h"
#include "server/grpc/generation_call.h"

namespace intactkv {

// Lives as GenerateReactor does.
class UnaryReactor final : public grpc::ServerUnaryReactor,
                           public GenerationOwner,
                           public std::enable_shared_from_this<UnaryReactor> {
 public:
  static UnaryReactor* Create(const GenerateSettings& settings, PostFn post,
                              grpc::CallbackServerContext* call, grpc::ByteBuffer& request,
                              grpc::ByteBuffer* response);

  void OnCancel() override;
  void OnDone() override;

  void OnUpdate() override;
  void OnRefused(const RequestError& error) override;

 private:
  UnaryReactor(const GenerateSettings& settings, PostFn post, grpc::CallbackServerContext* call,
               grpc::ByteBuffer* response);
  void FinishOnce(const grpc::Status& status);

  const GenerateSettings settings_;
  const PostFn post_;
  grpc::CallbackServerContext* call_;  // gRPC's, as is the response; valid until OnDone
  grpc::ByteBuffer* response_;
  std::shared_ptr<UnaryReactor> self_;  // released by OnDone
  std::shared_ptr<GenerationCall> generation_;
  v1::GenerateUnaryResponse answer_;
  bool finished_ = false;
};

}  // namespace intactkv
