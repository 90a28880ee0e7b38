// What a streamed and a unary generation have in common: from a call's bytes through validation
// and encoding to a running CompletionStream, under an id by which it can be aborted.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "intactkv/v1/intactkv.pb.h"
#include "server/grpc/proto_convert.h"
#include "server/grpc/running_calls.h"
#include "server/request/completion_stream.h"
#include "server/request/server_context.h"

namespace intactkv {

// What all calls of one server have in common.
struct GenerateSettings {
  const ServerContext* server = nullptr;
  absl::Duration request_timeout = absl::Seconds(600);  // one generation, from arrival
  absl::Duration send_stall = absl::Seconds(30);        // a write without progress
  std::atomic<int64_t>* num_calls = nullptr;            // counts the calls that are not done
  RunningCalls* running = nullptr;
};

// The reactor of the call. Both are called on `post`.
class GenerationOwner {
 public:
  virtual ~GenerationOwner() = default;
  virtual void OnUpdate() = 0;  // the stream has something to take
  // The call ends with this error: it was refused, or somebody aborted it.
  virtual void OnRefused(const RequestError& error) = 0;
};

// Lives on `post`, but for Begin and Leave. The client's deadline or the server's ends it,
// whichever comes first.
class GenerationCall : public std::enable_shared_from_this<GenerationCall> {
 public:
  GenerationCall(const GenerateSettings& settings, PostFn post,
                 const grpc::CallbackServerContext& call);

  // Parses and validates here, encodes on ServingParts::encoder, submits on `post`. Once. Empties
  // `bytes`.
  void Begin(std::weak_ptr<GenerationOwner> owner, grpc::ByteBuffer& bytes);
  // The client is gone: what still waits to be encoded need not be. Thread-safe.
  void Leave() { gone_.store(true); }
  // Ends what runs. Idempotent.
  void Cancel();
  // Before the client hears of the call's end: its id is free. Once.
  void End();

  bool HasUpdate() const { return stream_ != nullptr && stream_->HasUpdate(); }
  CompletionUpdate Take() { return stream_->Take(); }
  // From Begin's success on.
  const GrpcStreamIdentity& identity() const { return identity_; }
  const ValidatedRequest& request() const { return *request_; }
  const TextCodec& codec() const { return *codec_; }
  // With return_token_ids; the first call gets them.
  std::vector<int32_t> TakePromptIds() { return std::exchange(prompt_ids_, {}); }

 private:
  std::optional<RequestError> TryBegin(grpc::ByteBuffer& bytes);
  std::optional<RequestError> Register();
  void Start(const ServingParts& parts, RequestOr<GenerationRequest>& generation);
  void Refuse(const RequestError& error);

  const GenerateSettings settings_;
  const PostFn post_;
  const absl::Time deadline_;
  std::weak_ptr<GenerationOwner> owner_;
  const TextCodec* codec_ = nullptr;
  GrpcStreamIdentity identity_;
  std::optional<ValidatedRequest> request_;
  std::vector<int32_t> prompt_ids_;
  std::shared_ptr<CompletionStream> stream_;
  std::atomic<bool> gone_{false};
};

}  // namespace intactkv
