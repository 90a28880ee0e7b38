// One Generate call: writes what its generation has, one message at a time, and ends the sequence
// when the client leaves.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <optional>

#include "intactkv/v1/intactkv.pb.h"
#include "server/grpc/generation_call.h"

namespace intactkv {

// Owns itself from Create to OnDone. gRPC's callbacks come on its threads and only post; everything
// after Create runs on `post`, one closure at a time, so there is no lock.
class GenerateReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                              public GenerationOwner,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  // On error the call is finished with its status. Empties `request`. Returns the reactor for gRPC.
  static GenerateReactor* Create(const GenerateSettings& settings, PostFn post,
                                 grpc::CallbackServerContext* call, grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void OnUpdate() override { Pump(); }
  void OnRefused(const RequestError& error) override;

 private:
  GenerateReactor(const GenerateSettings& settings, PostFn post, grpc::CallbackServerContext* call);
  void Pump();
  void WriteNext();
  void OnStall(int64_t write);
  // Nothing more is written but what is on its way, then `status`.
  void EndWith(const grpc::Status& status);
  // The client left or stalls: cancels, and finishes once no write is out.
  void Abandon(const grpc::Status& status);
  void FinishOnce(const grpc::Status& status);

  const GenerateSettings settings_;
  const PostFn post_;
  grpc::CallbackServerContext* call_;      // gRPC's; valid until OnDone
  std::shared_ptr<GenerateReactor> self_;  // released by OnDone
  std::shared_ptr<GenerationCall> generation_;
  std::deque<v1::GenerateResponse> pending_;
  grpc::ByteBuffer outgoing_;  // pending_.front() while it is being written
  bool writing_ = false;
  int64_t num_writes_ = 0;
  bool finished_ = false;
  std::optional<grpc::Status> last_status_;  // set when the stream is done: sent after `pending_`
  std::optional<grpc::Alarm>
      stall_;  // a new one per write: an alarm must not be set again before its closure ran
};

}  // namespace intactkv
