#include "server/grpc/generate_reactor.h"

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "server/grpc/message_bytes.h"

namespace intactkv {

GenerateReactor::GenerateReactor(const GenerateSettings& settings, PostFn post,
                                 grpc::CallbackServerContext* call)
    : settings_(settings),
      post_(std::move(post)),
      call_(call),
      generation_(std::make_shared<GenerationCall>(settings, post_, *call)) {
  ++*settings_.num_calls;
}

GenerateReactor* GenerateReactor::Create(const GenerateSettings& settings, PostFn post,
                                         grpc::CallbackServerContext* call,
                                         grpc::ByteBuffer& request) {
  auto reactor =
      std::shared_ptr<GenerateReactor>(new GenerateReactor(settings, std::move(post), call));
  reactor->self_ = reactor;
  reactor->generation_->Begin(reactor, request);
  return reactor.get();
}

void GenerateReactor::OnRefused(const RequestError& error) {
  if (!finished_ && !last_status_.has_value()) EndWith(FailCall(*call_, error));
}

void GenerateReactor::Pump() {
  if (finished_ || writing_) return;
  if (pending_.empty() && !last_status_.has_value()) {
    CompletionUpdate update = generation_->Take();
    for (const ChoiceDelta& delta : update.deltas)
      pending_.push_back(
          ToResponse(generation_->identity(), delta, generation_->codec(), generation_->request()));
    if (update.done && update.error.has_value()) {
      last_status_ = FailCall(*call_, *update.error);
    } else if (update.done) {
      pending_.push_back(ToUsageResponse(generation_->identity(), update.usage));
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
  for (const int32_t id : generation_->TakePromptIds()) pending_.front().add_prompt_token_ids(id);
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
  generation_->Leave();
  post_([self = shared_from_this()] { self->Abandon(grpc::Status::CANCELLED); });
}

void GenerateReactor::OnStall(int64_t write) {
  // The write may have ended, and the next one begun, while this was on its way.
  if (!writing_ || write != num_writes_) return;
  Abandon({grpc::StatusCode::CANCELLED, "the reader made no progress in time"});
}

void GenerateReactor::EndWith(const grpc::Status& status) {
  // Whatever the engine said: pieces are missing, and a client must not take them for the whole.
  last_status_ = status;
  while (pending_.size() > (writing_ ? 1u : 0u)) pending_.pop_back();
  if (!writing_) FinishOnce(status);
}

void GenerateReactor::Abandon(const grpc::Status& status) {
  if (finished_) return;
  generation_->Cancel();
  EndWith(status);
  if (!finished_) call_->TryCancel();  // else a write that nobody reads would never end
}

void GenerateReactor::FinishOnce(const grpc::Status& status) {
  if (finished_) return;
  finished_ = true;
  generation_->End();
  Finish(status);
}

void GenerateReactor::OnDone() {
  --*settings_.num_calls;
  // The stream is destroyed where it lives: on the call's own queue.
  post_([self = std::move(self_)] {
    self->stall_.reset();
    self->generation_.reset();
  });
}

}  // namespace intactkv
