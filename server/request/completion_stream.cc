#include "server/request/completion_stream.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "server/request/utf8.h"

namespace intactkv {

// Where the engine thread leaves what happened; shared with the sink, which may outlive the stream.
struct CompletionStream::Inbox {
  Mutex mutex;
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
      MutexLock lock(&inbox_->mutex);
      if (inbox_->closed) return;
      for (TokenEvent& event : events) inbox_->events.push_back(std::move(event));
      if (std::exchange(inbox_->scheduled, true)) return;
    }
    PostPump();
  }

  void OnFinish(const FinishInfo& info) override {
    {
      MutexLock lock(&inbox_->mutex);
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

// A token carries the text that it completed; without one, text that was released while its last
// token is still held.
struct CompletionStream::Piece {
  std::optional<SampledToken> token;
  std::string text;
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
  size_t echo_taken = 0;     // pieces
  std::deque<Piece> pieces;  // not taken yet
  FinishReason finish = FinishReason::kNone;
  bool finish_taken = false;

  void Push(std::optional<SampledToken> token, std::string text) {
    if (token.has_value() || !text.empty()) pieces.push_back({std::move(token), std::move(text)});
  }
  bool HasUpdate() const {
    return !pieces.empty() || (finish != FinishReason::kNone && !finish_taken);
  }
  // Moves at most `max_tokens` tokens into `delta`, those of `echo` first.
  void TakeInto(const std::vector<Piece>& echo, int max_tokens, ChoiceDelta& delta);
};

void CompletionStream::Choice::TakeInto(const std::vector<Piece>& echo, int max_tokens,
                                        ChoiceDelta& delta) {
  int taken = 0;
  for (; echo_taken < echo.size() && taken < max_tokens; ++taken, ++echo_taken) {
    const Piece& piece = echo[echo_taken];
    delta.text += piece.text;
    if (!piece.token.has_value()) continue;
    delta.prompt_begins = delta.prompt_begins || echo_taken == 0;
    delta.prompt_tokens.push_back(*piece.token);
  }
  for (; !pieces.empty() && taken < max_tokens; ++taken) {
    Piece& piece = pieces.front();
    delta.text += piece.text;
    if (piece.token.has_value()) delta.tokens.push_back(std::move(*piece.token));
    pieces.pop_front();
  }
  const bool all_taken = echo_taken == echo.size() && pieces.empty();
  if (all_taken && finish != FinishReason::kNone && !finish_taken) {
    delta.finish = finish;
    finish_taken = true;
  }
}

namespace {

// What the engine refuses as invalid is a request that its pages can never hold.
RequestError EngineError(const absl::Status& status, const std::string& prompt_param,
                         const std::string& max_tokens_param) {
  if (!absl::IsInvalidArgument(status)) return ErrorFromStatus(status);
  return NeverFitsThePool(prompt_param, max_tokens_param, ToStd(status.message()));
}

// What the prompt's tokens spell.
std::string TextOf(const TextCodec& codec, const GenerationRequest& generation) {
  const std::unique_ptr<StreamDecoder> decoder = codec.NewStreamDecoder();
  std::string text;
  for (const TokenId token : generation.prompt) text += decoder->Feed(token);
  return text + decoder->Flush();
}

}  // namespace

CompletionStream::CompletionStream(Parts parts)
    : parts_(std::move(parts)), inbox_(std::make_shared<Inbox>()) {}

CompletionStream::~CompletionStream() { Cancel(); }

RequestOr<std::shared_ptr<CompletionStream>> CompletionStream::Start(
    Parts parts, const ValidatedRequest& request, GenerationRequest generation) {
  std::shared_ptr<CompletionStream> stream(new CompletionStream(std::move(parts)));
  stream->prompt_param_ = request->prompt_param;
  stream->max_tokens_param_ = request->max_tokens_param;
  stream->min_tokens_ = request->min_tokens;
  stream->generates_ = request->max_tokens != 0;
  if (request->echo) stream->BeginEcho(request, generation);
  stream->open_choices_ = generation.n;
  stream->choices_.reserve(static_cast<size_t>(generation.n));
  for (int32_t k = 0; k < generation.n; ++k) {
    stream->choices_.emplace_back(stream->parts_.codec->NewStreamDecoder(),
                                  StopMatcher(request->stop, request->include_stop));
  }
  absl::StatusOr<RequestHandle> handle = stream->parts_.engine->Submit(
      std::move(generation),
      std::make_unique<Sink>(stream->inbox_, stream->parts_.post, stream->weak_from_this()));
  if (!handle.ok()) {
    return EngineError(handle.status(), request->prompt_param, request->max_tokens_param);
  }
  stream->handle_ = std::move(*handle);
  return stream;
}

void CompletionStream::Cancel() {
  {
    MutexLock lock(&inbox_->mutex);
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
    MutexLock lock(&inbox_->mutex);
    inbox_->scheduled = false;
    events.swap(inbox_->events);
    finish.swap(inbox_->finish);
  }
  for (TokenEvent& event : events) {
    if (event.of_prompt) {
      AddToEcho(std::move(event.token));
    } else {
      OnToken(std::move(event));
    }
  }
  if (!events.empty() && echo_.size() == echo_size_) echo_held_ = false;
  if (finish.has_value()) OnFinish(std::move(*finish));
  if (HasUpdate() && parts_.on_ready) {
    const std::function<void()> on_ready = parts_.on_ready;  // it may cancel, which clears ours
    on_ready();
  }
}

void CompletionStream::BeginEcho(const ValidatedRequest& request,
                                 const GenerationRequest& generation) {
  echo_held_ = true;
  const auto* own = std::get_if<std::string>(&request->prompt);
  if (!generation.score_prompt) {
    echo_size_ = 1;
    echo_.push_back({std::nullopt, own != nullptr ? *own : TextOf(*parts_.codec, generation)});
    return;
  }
  const std::string text = own != nullptr ? TextOf(*parts_.codec, generation) : "";
  if (own != nullptr && *own != text) {
    echo_text_ = *own;
    if (text.ends_with(*own)) {
      echo_hidden_ = static_cast<int32_t>(CountCharacters(text) - CountCharacters(*own));
    }
  }
  echo_decoder_ = parts_.codec->NewStreamDecoder();
  echo_size_ = generation.prompt.size();
  AddToEcho({.token = generation.prompt.front(), .top = {}});
}

void CompletionStream::AddToEcho(SampledToken token) {
  CHECK_LT(echo_.size(), echo_size_);
  std::string text = echo_decoder_->Feed(token.token);
  if (echo_.size() + 1 == echo_size_) text += echo_decoder_->Flush();
  if (echo_text_.has_value()) text = echo_.empty() ? *echo_text_ : "";
  echo_.push_back({std::move(token), std::move(text)});
}

void CompletionStream::OnToken(TokenEvent event) {
  CHECK(event.choice >= 0 && static_cast<size_t>(event.choice) < choices_.size());
  Choice& choice = choices_[static_cast<size_t>(event.choice)];
  if (!choice.open) return;  // overrun after a stop string
  if (!generates_) return FinishChoice(choice, "", FinishReason::kLength);
  ++choice.num_tokens;
  ++completion_tokens_;
  // The token that ends the sequence (end of turn, a stop id) has no text of its own to show.
  std::string text;
  if (event.finish != FinishReason::kStop) text = choice.decoder->Feed(event.token.token);
  choice.text_fed += text.size();
  choice.waiting.push_back({std::move(event.token), choice.text_fed});
  // Before min_tokens a stop string is text like any other.
  std::string shown = choice.num_tokens < min_tokens_ ? std::move(text) : choice.matcher.Feed(text);
  if (choice.matcher.matched()) {
    FinishChoice(choice, std::move(shown), FinishReason::kStop);
  } else if (event.finish == FinishReason::kStop || event.finish == FinishReason::kLength) {
    shown += choice.matcher.Feed(choice.decoder->Flush());
    shown += choice.matcher.Flush();
    FinishChoice(choice, std::move(shown),
                 choice.matcher.matched() ? FinishReason::kStop : event.finish);
  } else {
    Release(choice, std::move(shown));
  }
}

void CompletionStream::Release(Choice& choice, std::string shown) {
  choice.text_shown += shown.size();
  while (!choice.waiting.empty() && choice.waiting.front().text_end <= choice.text_shown) {
    choice.Push(std::move(choice.waiting.front().token), std::exchange(shown, std::string()));
    choice.waiting.pop_front();
  }
  choice.Push(std::nullopt, std::move(shown));
}

void CompletionStream::FinishChoice(Choice& choice, std::string shown, FinishReason reason) {
  for (Choice::Waiting& waiting : choice.waiting) {
    choice.Push(std::move(waiting.token), std::exchange(shown, std::string()));
  }
  choice.Push(std::nullopt, std::move(shown));
  choice.waiting.clear();
  choice.finish = reason;
  choice.open = false;
  if (--open_choices_ == 0) {
    // Nothing more is wanted. After the engine's own end this does nothing.
    stopped_by_us_ = true;
    handle_.Stop();
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
                : absl::IsCancelled(info.status)
                    ? DrainingError()
                    : EngineError(info.status, prompt_param_, max_tokens_param_);
  }
  end.info = std::move(info);
  end_ = std::move(end);
  if (!echo_held_) return;
  // It failed before the prompt was there: what some choice has got belongs behind that.
  echo_held_ = false;
  echo_.clear();
  for (Choice& choice : choices_) {
    choice.pieces.clear();
    choice.finish = FinishReason::kNone;
  }
}

bool CompletionStream::HasUpdate() const {
  if (end_.has_value() && !end_taken_) return true;
  return std::any_of(choices_.begin(), choices_.end(),
                     [this](const Choice& choice) { return HasUpdate(choice); });
}

bool CompletionStream::HasUpdate(const Choice& choice) const {
  if (echo_held_) return false;
  return choice.echo_taken < echo_.size() || choice.HasUpdate();
}

CompletionUpdate CompletionStream::Take(int max_tokens) {
  CompletionUpdate update;
  bool all_taken = true;
  std::vector<ChoiceDelta> deltas;
  for (size_t k = 0; k < choices_.size(); ++k) {
    if (!HasUpdate(choices_[k])) continue;
    ChoiceDelta& delta = deltas.emplace_back();
    delta.choice = static_cast<int32_t>(k);
    choices_[k].TakeInto(echo_, max_tokens, delta);
    if (delta.prompt_begins) delta.prompt_hidden = echo_hidden_;
    all_taken = all_taken && !HasUpdate(choices_[k]);
  }
  if (all_taken && end_.has_value() && !end_taken_) {
    update = *end_;
    end_taken_ = true;
  }
  update.deltas = std::move(deltas);
  return update;
}

}  // namespace intactkv
