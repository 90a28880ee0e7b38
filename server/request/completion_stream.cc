#include "server/request/completion_stream.h"

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/check.h"

namespace intactkv {

// Where the engine thread leaves what happened; shared with the sink, which may outlive the stream.
struct CompletionStream::Inbox {
  absl::Mutex mutex;
  std::vector<TokenEvent> events ABSL_GUARDED_BY(mutex);
  std::optional<FinishInfo> finish ABSL_GUARDED_BY(mutex);
  bool scheduled ABSL_GUARDED_BY(mutex) = false;  // a Pump is posted and has not begun
  bool closed ABSL_GUARDED_BY(mutex) = false;     // nobody reads any more
};

// Runs on the engine thread: append, post, leave.
class CompletionStream::Sink : public TokenSink {
 public:
  Sink(std::shared_ptr<Inbox> inbox, PostFn post, std::weak_ptr<CompletionStream> stream)
      : inbox_(std::move(inbox)), post_(std::move(post)), stream_(std::move(stream)) {}

  void OnTokens(std::vector<TokenEvent> events) override {
    {
      absl::MutexLock lock(&inbox_->mutex);
      if (inbox_->closed) return;
      for (TokenEvent& event : events) inbox_->events.push_back(std::move(event));
      if (std::exchange(inbox_->scheduled, true)) return;
    }
    PostPump();
  }

  void OnFinish(const FinishInfo& info) override {
    {
      absl::MutexLock lock(&inbox_->mutex);
      if (inbox_->closed) return;
      inbox_->finish = info;
      if (std::exchange(inbox_->scheduled, true)) return;
    }
    PostPump();
  }

 private:
  void PostPump() {
    post_([stream = stream_] {
      if (const auto self = stream.lock()) self->Pump();
    });
  }

  std::shared_ptr<Inbox> inbox_;
  PostFn post_;
  std::weak_ptr<CompletionStream> stream_;
};

struct CompletionStream::Choice {
  Choice(std::unique_ptr<StreamDecoder> d, StopMatcher m)
      : decoder(std::move(d)), matcher(std::move(m)) {}
  struct Waiting {
    SampledToken token;
    size_t text_end;  // bytes of this choice's text up to and including this token's
  };
  std::unique_ptr<StreamDecoder> decoder;
  StopMatcher matcher;
  std::deque<Waiting> waiting;  // tokens whose text is not shown completely yet
  size_t text_fed = 0;
  size_t text_shown = 0;
  int64_t num_tokens = 0;
  bool open = true;
  ChoiceDelta delta;  // since the last Take
  bool has_delta = false;
};

CompletionStream::CompletionStream(Parts parts)
    : parts_(std::move(parts)), inbox_(std::make_shared<Inbox>()) {}

CompletionStream::~CompletionStream() { Cancel(); }

RequestOr<std::shared_ptr<CompletionStream>> CompletionStream::Start(
    Parts parts, const ValidatedRequest& request, GenerationRequest generation) {
  std::shared_ptr<CompletionStream> stream(new CompletionStream(std::move(parts)));
  stream->min_tokens_ = request->min_tokens;
  stream->open_choices_ = generation.n;
  stream->choices_.reserve(static_cast<size_t>(generation.n));
  for (int32_t k = 0; k < generation.n; ++k) {
    stream->choices_.emplace_back(stream->parts_.codec->NewStreamDecoder(),
                                  StopMatcher(request->stop));
    stream->choices_.back().delta.choice = k;
  }
  absl::StatusOr<RequestHandle> handle = stream->parts_.engine->Submit(
      std::move(generation),
      std::make_unique<Sink>(stream->inbox_, stream->parts_.post, stream->weak_from_this()));
  if (!handle.ok()) return ErrorFromStatus(handle.status());
  stream->handle_ = std::move(*handle);
  return stream;
}

void CompletionStream::Cancel() {
  {
    absl::MutexLock lock(&inbox_->mutex);
    inbox_->closed = true;
    inbox_->events.clear();
  }
  parts_.on_ready = nullptr;
  handle_.Cancel();
}

void CompletionStream::Pump() {
  std::vector<TokenEvent> events;
  std::optional<FinishInfo> finish;
  {
    absl::MutexLock lock(&inbox_->mutex);
    inbox_->scheduled = false;
    events.swap(inbox_->events);
    finish.swap(inbox_->finish);
  }
  for (TokenEvent& event : events) OnToken(std::move(event));
  if (finish.has_value()) OnFinish(std::move(*finish));
  if (HasUpdate() && parts_.on_ready) {
    const std::function<void()> on_ready = parts_.on_ready;  // it may cancel, which clears ours
    on_ready();
  }
}

void CompletionStream::OnToken(TokenEvent event) {
  CHECK(event.choice >= 0 && static_cast<size_t>(event.choice) < choices_.size());
  Choice& choice = choices_[static_cast<size_t>(event.choice)];
  if (!choice.open) return;  // overrun after a stop string
  ++choice.num_tokens;
  ++completion_tokens_;
  // The token that ends the sequence (end of turn, a stop id) has no text of its own to show.
  std::string text;
  if (event.finish != FinishReason::kStop) text = choice.decoder->Feed(event.token.token);
  choice.text_fed += text.size();
  choice.waiting.push_back({std::move(event.token), choice.text_fed});
  // Before min_tokens a stop string is text like any other.
  std::string shown = choice.num_tokens < min_tokens_ ? std::move(text) : choice.matcher.Feed(text);
  choice.text_shown += shown.size();
  choice.delta.text += shown;
  if (choice.matcher.matched()) {
    FinishChoice(choice, FinishReason::kStop);
  } else if (event.finish == FinishReason::kStop || event.finish == FinishReason::kLength) {
    std::string rest = choice.decoder->Flush();
    choice.delta.text += choice.matcher.Feed(rest);
    choice.delta.text += choice.matcher.Flush();
    FinishChoice(choice, choice.matcher.matched() ? FinishReason::kStop : event.finish);
  } else {
    EmitReleasedTokens(choice);
  }
}

void CompletionStream::EmitReleasedTokens(Choice& choice) {
  while (!choice.waiting.empty() && choice.waiting.front().text_end <= choice.text_shown) {
    choice.delta.tokens.push_back(std::move(choice.waiting.front().token));
    choice.waiting.pop_front();
    choice.has_delta = true;
  }
  if (!choice.delta.text.empty()) choice.has_delta = true;
}

void CompletionStream::FinishChoice(Choice& choice, FinishReason reason) {
  for (Choice::Waiting& waiting : choice.waiting) {
    choice.delta.tokens.push_back(std::move(waiting.token));
  }
  choice.waiting.clear();
  choice.delta.finish = reason;
  choice.has_delta = true;
  choice.open = false;
  if (--open_choices_ == 0) {
    // Nothing more is wanted. After the engine's own end this does nothing.
    stopped_by_us_ = true;
    handle_.Cancel();
  }
}

void CompletionStream::OnFinish(FinishInfo info) {
  CompletionUpdate end;
  end.done = true;
  end.usage = info.usage;
  end.usage.completion_tokens = static_cast<int32_t>(completion_tokens_);
  if (open_choices_ > 0 || !stopped_by_us_) {
    // kCancelled without our wish: the server's own drain ran out of time.
    end.error = info.status.ok() ? ErrorFromStatus(absl::InternalError("unfinished"))
                : absl::IsCancelled(info.status) ? DrainingError()
                                                 : ErrorFromStatus(info.status);
  }
  end.info = std::move(info);
  end_ = std::move(end);
}

bool CompletionStream::HasUpdate() const {
  if (end_.has_value() && !end_taken_) return true;
  for (const Choice& choice : choices_) {
    if (choice.has_delta) return true;
  }
  return false;
}

CompletionUpdate CompletionStream::Take() {
  CompletionUpdate update;
  if (end_.has_value() && !end_taken_) {
    update = *end_;
    end_taken_ = true;
  }
  for (Choice& choice : choices_) {
    if (!choice.has_delta) continue;
    const int32_t index = choice.delta.choice;
    update.deltas.push_back(
        std::exchange(choice.delta, ChoiceDelta{.choice = index, .text = {}, .tokens = {}}));
    choice.has_delta = false;
  }
  return update;
}

}  // namespace intactkv
