#include "server/grpc/generate_reactor.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
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

GenerateReactor::GenerateReactor(const GenerateSettings& settings, PostFn post,
                                 grpc::CallbackServerContext* call)
    : settings_(settings),
      post_(std::move(post)),
      call_(call),
      deadline_(std::min(DeadlineOf(*call), MonotonicNow() + settings.request_timeout)) {
  ++*settings_.num_calls;
}

GenerateReactor* GenerateReactor::Create(const GenerateSettings& settings, PostFn post,
                                         grpc::CallbackServerContext* call,
                                         grpc::ByteBuffer& request) {
  auto reactor =
      std::shared_ptr<GenerateReactor>(new GenerateReactor(settings, std::move(post), call));
  reactor->self_ = reactor;
  if (std::optional<RequestError> error = reactor->Begin(request)) {
    reactor->post_([self = reactor, error = *std::move(error)] { self->Refuse(error); });
  }
  return reactor.get();
}

std::optional<RequestError> GenerateReactor::Begin(grpc::ByteBuffer& bytes) {
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
  identity_ = {NewId(), absl::ToUnixSeconds(absl::Now()), parts.model.name};
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

void GenerateReactor::Start(const ServingParts& parts, RequestOr<GenerationRequest>& generation) {
  if (finished_) return;
  if (!generation.ok()) return Refuse(generation.error());
  if ((*request_)->return_token_ids) {
    for (const TokenId id : generation->prompt) prompt_ids_.push_back(id.value);
  }
  CompletionStream::Parts wiring{.engine = parts.engine,
                                 .codec = codec_,
                                 .post = post_,
                                 .on_ready = [weak = weak_from_this()] {
                                   if (const auto self = weak.lock()) self->Pump();
                                 }};
  RequestOr<std::shared_ptr<CompletionStream>> stream =
      CompletionStream::Start(std::move(wiring), *request_, std::move(generation).value());
  if (!stream.ok()) return Refuse(stream.error());
  stream_ = std::move(stream).value();
  request_->ForgetPrompt();
}

void GenerateReactor::Refuse(const RequestError& error) {
  if (!finished_) FinishOnce(FailCall(*call_, error));
}

void GenerateReactor::Pump() {
  if (stream_ == nullptr || finished_ || writing_) return;
  if (pending_.empty() && !last_status_.has_value()) {
    CompletionUpdate update = stream_->Take();
    for (const ChoiceDelta& delta : update.deltas)
      pending_.push_back(ToResponse(identity_, delta, *codec_, *request_));
    if (update.done && update.error.has_value()) {
      last_status_ = FailCall(*call_, *update.error);
    } else if (update.done) {
      pending_.push_back(ToUsageResponse(identity_, update.usage));
      last_status_ = grpc::Status::OK;
    }
  }
  WriteNext();
}

void GenerateReactor::WriteNext() {
  if (pending_.empty()) {
    if (last_status_.has_value()) FinishOnce(*last_status_);
    return;
  }
  for (const int32_t id : std::exchange(prompt_ids_, {})) pending_.front().add_prompt_token_ids(id);
  writing_ = true;
  stall_.emplace();
  stall_->Set(absl::ToChronoTime(absl::Now() + settings_.send_stall),
              [weak = weak_from_this(), write = ++num_writes_](bool expired) {
                const std::shared_ptr<GenerateReactor> self = expired ? weak.lock() : nullptr;
                if (self == nullptr) return;
                self->post_([self, write] { self->OnStall(write); });
              });
  outgoing_ = ToBytes(pending_.front());
  StartWrite(&outgoing_);
}

void GenerateReactor::OnWriteDone(bool ok) {
  post_([self = shared_from_this(), ok] {
    self->stall_.reset();
    self->writing_ = false;
    if (!self->pending_.empty()) self->pending_.pop_front();
    if (!ok) {
      self->Abandon(grpc::Status::CANCELLED);
      return;
    }
    self->Pump();
  });
}

void GenerateReactor::OnCancel() {
  gone_.store(true);
  post_([self = shared_from_this()] { self->Abandon(grpc::Status::CANCELLED); });
}

void GenerateReactor::OnStall(int64_t write) {
  // The write may have ended, and the next one begun, while this was on its way.
  if (!writing_ || write != num_writes_) return;
  Abandon({grpc::StatusCode::CANCELLED, "the reader made no progress in time"});
}

void GenerateReactor::Abandon(const grpc::Status& status) {
  if (finished_) return;
  if (stream_ != nullptr) stream_->Cancel();
  // Whatever the engine said: pieces are missing, and a client must not take them for the whole.
  last_status_ = status;
  while (pending_.size() > (writing_ ? 1u : 0u)) pending_.pop_back();
  if (!writing_) return FinishOnce(status);
  call_->TryCancel();  // else a write that nobody reads would never end
}

void GenerateReactor::FinishOnce(const grpc::Status& status) {
  if (finished_) return;
  finished_ = true;
  Finish(status);
}

void GenerateReactor::OnDone() {
  --*settings_.num_calls;
  // The stream is destroyed where it lives: on the call's own queue.
  post_([self = std::move(self_)] {
    self->stall_.reset();
    self->stream_.reset();
  });
}

}  // namespace intactkv
