// One Generate call: writes what its CompletionStream has, one message at a time, and ends the
// sequence when the client leaves.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "intactkv/v1/intactkv.pb.h"
#include "server/grpc/proto_convert.h"
#include "server/request/completion_stream.h"
#include "server/request/server_context.h"

namespace intactkv {

// What all calls of one server have in common.
struct GenerateSettings {
  const ServerContext* server = nullptr;
  absl::Duration request_timeout = absl::Seconds(600);  // one generation, from arrival
  absl::Duration send_stall = absl::Seconds(30);        // a write without progress
  std::atomic<int64_t>* num_calls = nullptr;            // counts the calls that are not done
};

// Owns itself from Create to OnDone. gRPC's callbacks come on its threads and only post; everything
// after Create, but for the encoding, runs on `post`, one closure at a time, so there is no lock.
class GenerateReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  // Parses and validates here, encodes on ServingParts::encoder, submits on `post`; on error the
  // call is finished with its status. Empties `request`. Returns the reactor for gRPC.
  static GenerateReactor* Create(const GenerateSettings& settings, PostFn post,
                                 grpc::CallbackServerContext* call, grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  GenerateReactor(const GenerateSettings& settings, PostFn post, grpc::CallbackServerContext* call);
  std::optional<RequestError> Begin(grpc::ByteBuffer& bytes);
  void Start(const ServingParts& parts, RequestOr<GenerationRequest>& generation);
  void Refuse(const RequestError& error);
  void Pump();
  void WriteNext();
  void OnStall(int64_t write);
  // The client left or stalls: cancels, and finishes once no write is out.
  void Abandon(const grpc::Status& status);
  void FinishOnce(const grpc::Status& status);

  const GenerateSettings settings_;
  PostFn post_;
  grpc::CallbackServerContext* call_;      // gRPC's; valid until OnDone
  const absl::Time deadline_;              // the client's or the server's, whichever comes first
  std::shared_ptr<GenerateReactor> self_;  // released by OnDone
  const TextCodec* codec_ = nullptr;
  GrpcStreamIdentity identity_;
  std::optional<ValidatedRequest> request_;
  std::vector<int32_t> prompt_ids_;  // still to be sent; with return_token_ids
  std::shared_ptr<CompletionStream> stream_;
  std::deque<v1::GenerateResponse> pending_;
  grpc::ByteBuffer outgoing_;      // pending_.front() while it is being written
  std::atomic<bool> gone_{false};  // the client, while its prompt waits to be encoded
  bool writing_ = false;
  int64_t num_writes_ = 0;
  bool finished_ = false;
  std::optional<grpc::Status> last_status_;  // set when the stream is done: sent after `pending_`
  std::optional<grpc::Alarm>
      stall_;  // a new one per write: an alarm must not be set again before its closure ran
};

}  // namespace intactkv
