#include "server/openai/generation_handler.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/json_log.h"
#include "engine/base/monotonic_time.h"
#include "server/http/sse_writer.h"
#include "server/openai/completion_json.h"
#include "server/openai/request_parser.h"
#include "server/openai/responses.h"
#include "server/request/completion_stream.h"
#include "server/request/refuse_early.h"

namespace intactkv {
namespace {

// One generation on one exchange; kept alive by the exchange's abort callback until the answer is
// complete or the client has left. Everything runs on the exchange's executor.
class GenerationSession : public std::enable_shared_from_this<GenerationSession> {
 public:
  struct Settings {
    bool stream = false;
    bool include_usage = false;
    bool chat = false;
    bool log = true;
    int32_t n = 1;
  };
  GenerationSession(std::shared_ptr<Exchange> exchange, Settings settings, CompletionJson json)
      : exchange_(std::move(exchange)), settings_(settings), json_(std::move(json)) {
    whole_.resize(static_cast<size_t>(settings.n));
    for (int32_t k = 0; k < settings.n; ++k) whole_[static_cast<size_t>(k)].choice = k;
  }

  void Start(const ServingParts& parts, const ValidatedRequest& request,
             GenerationRequest generation);

 private:
  void OnReady();
  void Collect(CompletionUpdate update);
  void Render(CompletionUpdate update);
  void RenderEnd(const CompletionUpdate& update);
  void Finish(const CompletionUpdate& update, int http_status);
  void Log(const FinishInfo& info, const RequestUsage& usage, int http_status) const;

  std::shared_ptr<Exchange> exchange_;
  Settings settings_;
  CompletionJson json_;
  std::shared_ptr<CompletionStream> stream_;
  std::optional<SseWriter> sse_;
  std::vector<ChoiceDelta> whole_;  // not streamed: the answer so far
};

void GenerationSession::Start(const ServingParts& parts, const ValidatedRequest& request,
                              GenerationRequest generation) {
  CompletionStream::Parts wiring{.engine = parts.engine,
                                 .codec = parts.codec,
                                 .post = exchange_->Poster(),
                                 .on_ready = [weak = weak_from_this()] {
                                   if (const auto self = weak.lock()) self->OnReady();
                                 }};
  RequestOr<std::shared_ptr<CompletionStream>> stream =
      CompletionStream::Start(std::move(wiring), request, std::move(generation));
  if (!stream.ok()) return exchange_->Respond(ToResponse(stream.error()));
  stream_ = std::move(stream).value();
  exchange_->SetOnAbort([self = shared_from_this()] {
    self->stream_->Cancel();
    self->Log({}, {}, 499);
  });
  exchange_->SetOnWritable([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnReady();
  });
}

void GenerationSession::OnReady() {
  const auto self = shared_from_this();  // the answer's end drops the callbacks that hold us
  while (stream_->HasUpdate()) {
    if (!settings_.stream) {
      Collect(stream_->Take());
    } else if (exchange_->CanWrite()) {
      Render(stream_->Take());
    } else {
      return;  // on_writable comes back here
    }
  }
}

void GenerationSession::Collect(CompletionUpdate update) {
  for (ChoiceDelta& delta : update.deltas) {
    ChoiceDelta& choice = whole_[static_cast<size_t>(delta.choice)];
    choice.text += delta.text;
    choice.prompt_begins = choice.prompt_begins || delta.prompt_begins;
    choice.prompt_hidden += delta.prompt_hidden;
    for (SampledToken& token : delta.prompt_tokens)
      choice.prompt_tokens.push_back(std::move(token));
    for (SampledToken& token : delta.tokens) choice.tokens.push_back(std::move(token));
    if (delta.finish != FinishReason::kNone) choice.finish = delta.finish;
  }
  if (!update.done) return;
  if (update.error.has_value()) {
    exchange_->Respond(ToResponse(*update.error));
    return Finish(update, update.error->http_status);
  }
  exchange_->Respond(JsonResponse(json_.Whole(whole_, update.usage)));
  Finish(update, 200);
}

void GenerationSession::Render(CompletionUpdate update) {
  if (!sse_.has_value()) {
    if (update.error.has_value() && update.deltas.empty()) {  // no token yet: a real status
      exchange_->Respond(ToResponse(*update.error));
      return Finish(update, update.error->http_status);
    }
    sse_.emplace(exchange_);
    for (int32_t k = 0; settings_.chat && k < settings_.n; ++k) sse_->Event(json_.RoleChunk(k));
  }
  for (const ChoiceDelta& delta : update.deltas) {
    const std::string chunk = json_.DeltaChunk(delta);
    if (!chunk.empty()) sse_->Event(chunk);
    if (delta.finish != FinishReason::kNone) {
      sse_->Event(json_.FinishChunk(delta.choice, delta.finish));
    }
  }
  if (update.done) RenderEnd(update);
}

void GenerationSession::RenderEnd(const CompletionUpdate& update) {
  if (update.error.has_value()) {
    sse_->Event(ErrorJson(ToHttpError(*update.error)));
  } else if (settings_.include_usage) {
    sse_->Event(json_.UsageChunk(update.usage));
  }
  sse_->Done();
  Finish(update, update.error.has_value() ? update.error->http_status : 200);
}

void GenerationSession::Finish(const CompletionUpdate& update, int http_status) {
  Log(update.info, update.usage, http_status);
}

void GenerationSession::Log(const FinishInfo& info, const RequestUsage& usage,
                            int http_status) const {
  if (!settings_.log) return;
  LogLine line("info", "request_done");
  line.Add("request_id", exchange_->request().request_id)
      .Add("path", exchange_->request().path)
      .Add("status", http_status)
      .Add("stream", settings_.stream);
  if (http_status == 499) return;  // the client left: the engine's numbers are not waited for
  line.Add("prompt_tokens", usage.prompt_tokens)
      .Add("completion_tokens", usage.completion_tokens)
      .Add("cached_tokens", usage.cached_tokens)
      .Add("queue_seconds", absl::ToDoubleSeconds(info.queue_time))
      .Add("ttft_seconds", absl::ToDoubleSeconds(info.first_token))
      .Add("preemptions", info.num_preemptions);
}

CompletionJson::Identity MakeIdentity(const ValidatedRequest& request,
                                      const GenerationRequest& generation, const HttpRequest& http,
                                      const ServedModel& model) {
  CompletionJson::Identity identity;
  identity.endpoint = request->endpoint;
  identity.id = (request->endpoint == Endpoint::kChat ? "chatcmpl-" : "cmpl-") + http.request_id;
  identity.created_unix_seconds = absl::ToUnixSeconds(absl::Now());
  identity.model = model.name;
  identity.usage_in_chunks = request->include_usage;
  identity.logprobs = request->sampling.num_logprobs >= 0;
  identity.token_ids = request->return_token_ids;
  if (request->return_token_ids) identity.prompt = generation.prompt;
  return identity;
}

// The prompt is encoded; on the exchange's executor again.
void StartGeneration(const ServingParts& parts, const ValidatedRequest& request,
                     const std::shared_ptr<Exchange>& exchange,
                     RequestOr<GenerationRequest>& generation, bool log) {
  if (!generation.ok()) return exchange->Respond(ToResponse(generation.error()));
  exchange->DropBody();  // else it would stay for as long as the answer takes
  CompletionJson json(MakeIdentity(request, *generation, exchange->request(), parts.model),
                      *parts.codec);
  const GenerationSession::Settings settings{.stream = request->stream,
                                             .include_usage = request->include_usage,
                                             .chat = request->endpoint == Endpoint::kChat,
                                             .log = log,
                                             .n = request->n};
  GenerationRequest for_engine = std::move(generation).value();
  for_engine.request_id = exchange->request().request_id;
  std::make_shared<GenerationSession>(exchange, settings, std::move(json))
      ->Start(parts, request, std::move(for_engine));
}

}  // namespace

void HandleGeneration(Endpoint endpoint, const ServerContext& context, const ApiOptions& options,
                      std::shared_ptr<Exchange> exchange) {
  const absl::Time deadline = MonotonicNow() + options.request_timeout;
  if (const auto not_ready = context.NotReady()) return exchange->Respond(ToResponse(*not_ready));
  const ServingParts& parts = *context.parts();
  RequestOr<RawRequest> raw = ParseGenerationRequest(exchange->request().body, endpoint);
  if (!raw.ok()) return exchange->Respond(ToResponse(raw.error()));
  RequestOr<ValidatedRequest> valid = ValidateRequest(std::move(raw).value(), parts.model);
  if (!valid.ok()) return exchange->Respond(ToResponse(valid.error()));
  if (const auto refusal = RefuseEarly(*valid, parts)) {
    return exchange->Respond(ToResponse(*refusal));
  }
  const auto request = std::make_shared<const ValidatedRequest>(std::move(valid).value());
  const auto gone = std::make_shared<std::atomic<bool>>(false);  // the client, while it waits here
  exchange->SetOnAbort([gone] { gone->store(true); });
  TextWork encode = [=, &parts, log = options.log_requests]() -> std::function<void()> {
    if (gone->load()) return [] {};
    auto generation = std::make_shared<RequestOr<GenerationRequest>>(
        BuildGeneration(*request, *parts.codec, parts.model, deadline));
    return [=, &parts] { StartGeneration(parts, *request, exchange, *generation, log); };
  };
  if (!RunTextWork(parts.encoder, exchange->Poster(), std::move(encode))) {
    exchange->Respond(ToResponse(QueueFullError()));
  }
}

}  // namespace intactkv
