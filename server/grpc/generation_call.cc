#include "server/grpc/generation_call.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "engine/base/monotonic_time.h"
#include "engine/base/rng.h"
#include "server/grpc/message_bytes.h"
#include "server/request/refuse_early.h"

namespace intactkv {
namespace {

absl::Time DeadlineOf(const grpc::CallbackServerContext& call) {
  const std::chrono::system_clock::time_point at = call.deadline();
  // No deadline arrives as a moment in the far future, which absl::FromChrono turns into a finite
  // one.
  if (at == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  // On the engine's clock, which nobody sets.
  return MonotonicNow() + (absl::FromChrono(at) - absl::Now());
}

std::string NewId() {
  static std::atomic<uint64_t> counter{0};
  const auto now =
      static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  static constexpr char kHex[] = "0123456789abcdef";
  std::string id = "gen-";
  uint64_t bits = RandomBits(now, counter.fetch_add(1));
  for (int i = 0; i < 16; ++i, bits >>= 4) id += kHex[bits & 15];
  return id;
}

}  // namespace

GenerationCall::GenerationCall(const GenerateSettings& settings, PostFn post,
                               const grpc::CallbackServerContext& call)
    : settings_(settings),
      post_(std::move(post)),
      deadline_(std::min(DeadlineOf(call), MonotonicNow() + settings.request_timeout)) {}

void GenerationCall::Begin(std::weak_ptr<GenerationOwner> owner, grpc::ByteBuffer& bytes) {
  owner_ = std::move(owner);
  if (std::optional<RequestError> error = TryBegin(bytes)) {
    post_([self = shared_from_this(), error = *std::move(error)] { self->Refuse(error); });
  }
}

std::optional<RequestError> GenerationCall::TryBegin(grpc::ByteBuffer& bytes) {
  const ServerContext& server = *settings_.server;
  if (std::optional<RequestError> not_ready = server.NotReady()) return not_ready;
  v1::GenerateRequest message;
  if (std::optional<RequestError> malformed = ParseMessage(bytes, message)) return malformed;
  bytes.Clear();  // gRPC would keep it until the call ends
  const ServingParts& parts = *server.parts();
  codec_ = parts.codec;
  RequestOr<ValidatedRequest> valid = ValidateRequest(ToRawRequest(message), parts.model);
  if (!valid.ok()) return valid.error();
  if (std::optional<RequestError> refusal = RefuseEarly(*valid, parts)) return refusal;
  request_ = std::move(valid).value();
  const bool named = !(*request_)->request_id.empty();
  identity_ = {named ? (*request_)->request_id : NewId(), absl::ToUnixSeconds(absl::Now()),
               parts.model.name};
  if (std::optional<RequestError> taken = Register()) return taken;
  TextWork encode = [self = shared_from_this(), &parts]() -> std::function<void()> {
    if (self->gone_.load()) return [] {};
    auto generation = std::make_shared<RequestOr<GenerationRequest>>(
        BuildGeneration(*self->request_, *parts.codec, parts.model, self->deadline_));
    return [self, &parts, generation] { self->Start(parts, *generation); };
  };
  if (parts.encoder == nullptr) {
    post_([encode = std::move(encode)] { encode()(); });
  } else if (!RunTextWork(parts.encoder, post_, std::move(encode))) {
    return QueueFullError();
  }
  return std::nullopt;
}

std::optional<RequestError> GenerationCall::Register() {
  const auto abort = [post = post_, weak = weak_from_this()] {
    post([weak] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->Leave();
      self->Cancel();
      self->Refuse(ErrorFromStatus(absl::CancelledError()));
    });
  };
  // From here on an abort may end the call, at any time and on any thread.
  if (settings_.running->Add(identity_.id, this, abort)) return std::nullopt;
  return InvalidValue("request_id", "names a request that is still running.");
}

void GenerationCall::Start(const ServingParts& parts, RequestOr<GenerationRequest>& generation) {
  if (gone_.load()) return;
  if (!generation.ok()) return Refuse(generation.error());
  if ((*request_)->return_token_ids) {
    for (const TokenId id : generation->prompt) prompt_ids_.push_back(id.value);
  }
  CompletionStream::Parts wiring{
      .engine = parts.engine, .codec = codec_, .post = post_, .on_ready = [owner = owner_] {
        if (const auto self = owner.lock()) self->OnUpdate();
      }};
  GenerationRequest for_engine = std::move(generation).value();
  for_engine.request_id = identity_.id;
  RequestOr<std::shared_ptr<CompletionStream>> stream =
      CompletionStream::Start(std::move(wiring), *request_, std::move(for_engine));
  if (!stream.ok()) return Refuse(stream.error());
  stream_ = std::move(stream).value();
  request_->ForgetPrompt();
}

void GenerationCall::Refuse(const RequestError& error) {
  if (const auto owner = owner_.lock()) owner->OnRefused(error);
}

void GenerationCall::Cancel() {
  if (stream_ != nullptr) stream_->Cancel();
}

void GenerationCall::End() { settings_.running->Remove(identity_.id, this); }

}  // namespace intactkv
