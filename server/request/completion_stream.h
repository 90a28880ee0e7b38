// One running generation, as a wire sees it: submits, decodes, matches stop strings, and hands out
// what has become showable whenever the wire has room for it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "engine/api/text_codec.h"
#include "server/request/post_fn.h"
#include "server/request/request_error.h"
#include "server/request/stop_matcher.h"
#include "server/request/validated_request.h"

namespace intactkv {

// What became showable of one choice.
struct ChoiceDelta {
  int32_t choice = 0;
  std::string text;  // complete UTF-8 characters
  // With echo and logprobs: the prompt's tokens that this delta shows, in front of its text.
  std::vector<SampledToken> prompt_tokens = {};
  bool prompt_begins = false;  // prompt_tokens has the first one: it has no log probability
  // With prompt_begins: characters in front of the tokens' text that the prompt's has not (some
  // vocabularies begin each text with a space).
  int32_t prompt_hidden = 0;
  std::vector<SampledToken> tokens;  // the tokens whose text ends in this delta (ids and logprobs)
  FinishReason finish = FinishReason::kNone;  // kStop or kLength in the choice's last delta
};

struct CompletionUpdate {
  std::vector<ChoiceDelta> deltas;    // at most one per choice, ascending
  bool done = false;                  // nothing follows
  std::optional<RequestError> error;  // with done: the request failed, whatever was shown before
  RequestUsage usage;                 // with done; completion_tokens up to each stop string's token
  FinishInfo info;  // with done: for the log (queue time, first token, preemptions)
};

// Life: Start -> on_ready/Take until done. Destroying it cancels what still runs. Everything but
// the engine's callbacks happens on the executor behind `post`. Thread-compatible.
//
// With echo, nothing is shown before the whole prompt is there, its log probabilities included.
//
// A slow reader costs memory for at most n x max_tokens tokens, an echoed prompt once, and never
// holds up the engine: text is decoded as tokens arrive (so a stop string ends the request at
// once), and put into the wire's form only when the reader calls Take.
class CompletionStream : public std::enable_shared_from_this<CompletionStream> {
 public:
  struct Parts {
    Engine* engine;          // not owned
    const TextCodec* codec;  // not owned
    PostFn post;
    std::function<void()> on_ready;  // called through `post` when Take has something new
  };
  // Submits. On error (429 queue_full, 503 draining, 400) nothing runs and on_ready is never
  // called. `generation` comes from BuildGeneration(request).
  static RequestOr<std::shared_ptr<CompletionStream>> Start(Parts parts,
                                                            const ValidatedRequest& request,
                                                            GenerationRequest generation);
  ~CompletionStream();
  CompletionStream(const CompletionStream&) = delete;
  CompletionStream& operator=(const CompletionStream&) = delete;

  // What came since the last call, at most `max_tokens` >= 1 tokens of each choice (the rest stays
  // for the next call, so one update's size is bounded); empty deltas and !done if nothing.
  CompletionUpdate Take(int max_tokens = kTokensPerTake);
  static constexpr int kTokensPerTake = 16;
  bool HasUpdate() const;
  // The client left. on_ready is not called again. Idempotent.
  void Cancel();

 private:
  struct Inbox;
  class Sink;
  struct Piece;
  struct Choice;
  explicit CompletionStream(Parts parts);
  void Pump();
  void BeginEcho(const ValidatedRequest& request, const GenerationRequest& generation);
  void AddToEcho(SampledToken token);
  void OnToken(TokenEvent event);
  bool HasUpdate(const Choice& choice) const;
  void Release(Choice& choice, std::string shown);
  void FinishChoice(Choice& choice, std::string shown, FinishReason reason);
  void OnFinish(FinishInfo info);

  Parts parts_;
  std::string prompt_param_, max_tokens_param_;
  int64_t min_tokens_ = 0;
  std::shared_ptr<Inbox> inbox_;
  // What each choice shows first; complete with `echo_size_` pieces, held back until then.
  std::vector<Piece> echo_;
  size_t echo_size_ = 0;
  bool echo_held_ = false;
  std::unique_ptr<StreamDecoder> echo_decoder_;
  // The prompt's own text where its tokens spell another one: then the first piece carries it all.
  std::optional<std::string> echo_text_;
  int32_t echo_hidden_ = 0;  // ChoiceDelta::prompt_hidden
  bool generates_ = true;    // false: max_tokens is 0
  std::vector<Choice> choices_;
  int32_t open_choices_ = 0;
  int64_t completion_tokens_ = 0;
  bool stopped_by_us_ = false;
  std::optional<CompletionUpdate> end_;
  bool end_taken_ = false;
  RequestHandle handle_;
};

}  // namespace intactkv
