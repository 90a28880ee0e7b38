#include "server/openai/text_handlers.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/json_log.h"
#include "server/openai/completion_json.h"
#include "server/openai/json_reader.h"
#include "server/openai/messages_parser.h"
#include "server/openai/responses.h"
#include "server/request/encode_pool.h"
#include "server/request/text_request.h"

namespace intactkv {
namespace {

// What both bodies have: `model`, which must be the served one if it is there.
std::optional<RequestError> CheckModelField(FieldReader& fields, const ServedModel& model) {
  std::optional<std::string> name;
  fields.Read("model", name);
  if (fields.error().has_value()) return fields.error();
  return CheckModelName(name, model);
}

// Text work is possible while draining, not while loading.
const ServingParts* PartsOrAnswer(const ServerContext& context, Exchange& exchange) {
  if (const ServingParts* parts = context.parts()) return parts;
  exchange.Respond(ToResponse(LoadingError()));
  return nullptr;
}

RequestOr<TokenizeInput> ReadTokenizeInput(FieldReader& fields) {
  TokenizeInput input;
  std::optional<bool> add_generation_prompt;
  fields.Read("prompt", input.prompt);
  fields.Read("add_generation_prompt", add_generation_prompt);
  if (fields.error().has_value()) return *fields.error();
  input.add_generation_prompt = add_generation_prompt.value_or(true);
  if (const boost::json::value* messages = fields.Find("messages")) {
    input.messages.emplace();
    if (!input.prompt.has_value()) {  // both are a fault, whatever the messages say
      RequestOr<std::vector<ChatMessage>> chat = ParseMessages(*messages);
      if (!chat.ok()) return chat.error();
      input.messages = std::move(chat).value();
    }
  }
  if (const auto fault = CheckTokenizeInput(input)) return *fault;
  return input;
}

HttpResponse Tokenize(const TokenizeInput& input, const ServingParts& parts) {
  const RequestOr<std::vector<TokenId>> ids = TokenizeText(input, *parts.codec);
  if (!ids.ok()) return ToResponse(ids.error());
  std::string json = "{\"count\":" + std::to_string(ids->size()) +
                     ",\"max_model_len\":" + std::to_string(parts.model.max_model_len) +
                     ",\"tokens\":";
  AppendIds(json, *ids);
  json += '}';
  return JsonResponse(std::move(json));
}

RequestOr<std::vector<TokenId>> ReadTokens(FieldReader& fields, const TextCodec& codec) {
  std::optional<std::vector<int64_t>> ids;
  fields.Read("tokens", ids);
  if (fields.error().has_value()) return *fields.error();
  if (!ids.has_value()) return MissingParameter("tokens");
  return CheckDetokenizeInput(*ids, codec);
}

HttpResponse Detokenize(const std::vector<TokenId>& tokens, const TextCodec& codec) {
  const RequestOr<std::string> text = DetokenizeText(tokens, codec);
  if (!text.ok()) return ToResponse(text.error());
  std::string json = "{\"prompt\":";
  AppendJsonString(json, *text);
  json += '}';
  return JsonResponse(std::move(json));
}

// `work` makes the answer, on the pool.
void AnswerFromPool(const ServingParts& parts, const std::shared_ptr<Exchange>& exchange,
                    std::function<HttpResponse()> work) {
  TextWork answer = [exchange, work = std::move(work)]() -> std::function<void()> {
    return [exchange, response = work()]() mutable { exchange->Respond(std::move(response)); };
  };
  if (!RunTextWork(parts.encoder, exchange->Poster(), std::move(answer))) {
    exchange->Respond(ToResponse(QueueFullError()));
  }
}

}  // namespace

void HandleTokenize(const ServerContext& context, const std::shared_ptr<Exchange>& exchange) {
  const ServingParts* parts = PartsOrAnswer(context, *exchange);
  if (parts == nullptr) return;
  const RequestOr<boost::json::object> body = ParseJsonObject(exchange->request().body);
  if (!body.ok()) return exchange->Respond(ToResponse(body.error()));
  FieldReader fields(*body);
  if (const auto fault = CheckModelField(fields, parts->model)) {
    return exchange->Respond(ToResponse(*fault));
  }
  RequestOr<TokenizeInput> input = ReadTokenizeInput(fields);
  if (!input.ok()) return exchange->Respond(ToResponse(input.error()));
  AnswerFromPool(*parts, exchange,
                 [parts, input = std::move(input).value()] { return Tokenize(input, *parts); });
}

void HandleDetokenize(const ServerContext& context, const std::shared_ptr<Exchange>& exchange) {
  const ServingParts* parts = PartsOrAnswer(context, *exchange);
  if (parts == nullptr) return;
  const RequestOr<boost::json::object> body = ParseJsonObject(exchange->request().body);
  if (!body.ok()) return exchange->Respond(ToResponse(body.error()));
  FieldReader fields(*body);
  if (const auto fault = CheckModelField(fields, parts->model)) {
    return exchange->Respond(ToResponse(*fault));
  }
  RequestOr<std::vector<TokenId>> tokens = ReadTokens(fields, *parts->codec);
  if (!tokens.ok()) return exchange->Respond(ToResponse(tokens.error()));
  AnswerFromPool(*parts, exchange, [parts, tokens = std::move(tokens).value()] {
    return Detokenize(tokens, *parts->codec);
  });
}

}  // namespace intactkv
