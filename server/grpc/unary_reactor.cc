#include "server/grpc/unary_reactor.h"

#include <utility>

#include "server/grpc/message_bytes.h"

namespace intactkv {

UnaryReactor::UnaryReactor(const GenerateSettings& settings, PostFn post,
                           grpc::CallbackServerContext* call, grpc::ByteBuffer* response)
    : settings_(settings),
      post_(std::move(post)),
      call_(call),
      response_(response),
      generation_(std::make_shared<GenerationCall>(settings, post_, *call)) {
  ++*settings_.num_calls;
}

UnaryReactor* UnaryReactor::Create(const GenerateSettings& settings, PostFn post,
                                   grpc::CallbackServerContext* call, grpc::ByteBuffer& request,
                                   grpc::ByteBuffer* response) {
  auto reactor =
      std::shared_ptr<UnaryReactor>(new UnaryReactor(settings, std::move(post), call, response));
  reactor->self_ = reactor;
  reactor->generation_->Begin(reactor, request);
  return reactor.get();
}

void UnaryReactor::OnUpdate() {
  while (!finished_ && generation_->HasUpdate()) {
    const CompletionUpdate update = generation_->Take();
    for (const ChoiceDelta& delta : update.deltas) {
      AppendDelta(delta, generation_->codec(), generation_->request(), answer_);
    }
    if (!update.done) continue;
    if (update.error.has_value()) return FinishOnce(FailCall(*call_, *update.error));
    for (const int32_t id : generation_->TakePromptIds()) answer_.add_prompt_token_ids(id);
    FillEnd(generation_->identity(), update.usage, answer_);
    *response_ = ToBytes(answer_);
    FinishOnce(grpc::Status::OK);
  }
}

void UnaryReactor::OnRefused(const RequestError& error) {
  if (!finished_) FinishOnce(FailCall(*call_, error));
}

void UnaryReactor::OnCancel() {
  generation_->Leave();
  post_([self = shared_from_this()] {
    if (self->finished_) return;
    self->generation_->Cancel();
    self->FinishOnce(grpc::Status::CANCELLED);
  });
}

void UnaryReactor::FinishOnce(const grpc::Status& status) {
  finished_ = true;
  generation_->End();
  Finish(status);
}

void UnaryReactor::OnDone() {
  --*settings_.num_calls;
  // The stream is destroyed where it lives: on the call's own queue.
  post_([self = std::move(self_)] { self->generation_.reset(); });
}

}  // namespace intactkv
