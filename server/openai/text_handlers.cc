#include "server/openai/text_handlers.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/json_log.h"
#include "server/openai/completion_json.h"
#include "server/openai/json_reader.h"
#include "server/openai/messages_parser.h"
#include "server/openai/responses.h"
#include "server/request/check_prompt.h"
#include "server/request/utf8.h"

namespace intactkv {
namespace {

// What both bodies have: `model`, which must be the served one if it is there.
std::optional<RequestError> CheckModelField(FieldReader& fields, const ServedModel& model) {
  std::optional<std::string> name;
  fields.Read("model", name);
  if (fields.error().has_value()) return fields.error();
  if (name.has_value() && *name != model.name) return ModelNotFound();
  return std::nullopt;
}

// Text work is possible while draining, not while loading.
const ServingParts* PartsOrAnswer(const ServerContext& context, Exchange& exchange) {
  if (const ServingParts* parts = context.parts()) return parts;
  exchange.Respond(ToResponse(LoadingError()));
  return nullptr;
}

RequestOr<std::vector<TokenId>> Tokenize(FieldReader& fields, const TextCodec& codec) {
  std::optional<std::string> prompt;
  std::optional<bool> add_generation_prompt;
  fields.Read("prompt", prompt);
  fields.Read("add_generation_prompt", add_generation_prompt);
  if (fields.error().has_value()) return *fields.error();
  const boost::json::value* messages = fields.Find("messages");
  if (prompt.has_value() && messages != nullptr) {
    return InvalidValue("prompt", "cannot be combined with 'messages'.");
  }
  if (!prompt.has_value() && messages == nullptr) return MissingParameter("prompt");
  absl::StatusOr<std::vector<TokenId>> ids;
  if (messages != nullptr) {
    RequestOr<std::vector<ChatMessage>> parsed = ParseMessages(*messages);
    if (!parsed.ok()) return parsed.error();
    std::vector<ChatMessage> chat = std::move(parsed).value();
    if (const auto fault = CheckMessages(chat)) return *fault;
    ids = codec.EncodeChat(chat, add_generation_prompt.value_or(true));
  } else {
    if (const auto fault = CheckPromptText("prompt", *prompt)) return *fault;
    ids = codec.Encode(*prompt);
  }
  if (!ids.ok()) {
    RequestError error = ErrorFromStatus(ids.status());
    error.param = messages != nullptr ? "messages" : "prompt";
    return error;
  }
  return *std::move(ids);
}

RequestOr<std::string> Detokenize(FieldReader& fields, const TextCodec& codec) {
  std::optional<std::vector<int64_t>> ids;
  fields.Read("tokens", ids);
  if (fields.error().has_value()) return *fields.error();
  if (!ids.has_value()) return MissingParameter("tokens");
  std::vector<TokenId> tokens;
  tokens.reserve(ids->size());
  for (const int64_t id : *ids) {
    if (id < 0 || id >= codec.vocab_size()) {
      return InvalidValue("tokens", "must hold token ids from 0 to " +
                                        std::to_string(codec.vocab_size() - 1) + ".");
    }
    tokens.emplace_back(static_cast<int32_t>(id));
  }
  absl::StatusOr<std::string> text = codec.Decode(tokens, /*keep_special=*/true);
  if (!text.ok()) return ErrorFromStatus(text.status());
  return ToValidUtf8(*text);
}

}  // namespace

void HandleTokenize(const ServerContext& context, Exchange& exchange) {
  const ServingParts* parts = PartsOrAnswer(context, exchange);
  if (parts == nullptr) return;
  const RequestOr<boost::json::object> body = ParseJsonObject(exchange.request().body);
  if (!body.ok()) return exchange.Respond(ToResponse(body.error()));
  FieldReader fields(*body);
  if (const auto fault = CheckModelField(fields, parts->model)) {
    return exchange.Respond(ToResponse(*fault));
  }
  const RequestOr<std::vector<TokenId>> ids = Tokenize(fields, *parts->codec);
  if (!ids.ok()) return exchange.Respond(ToResponse(ids.error()));
  std::string json = "{\"count\":" + std::to_string(ids->size()) +
                     ",\"max_model_len\":" + std::to_string(parts->model.max_model_len) +
                     ",\"tokens\":";
  AppendIds(json, *ids);
  json += '}';
  exchange.Respond(JsonResponse(std::move(json)));
}

void HandleDetokenize(const ServerContext& context, Exchange& exchange) {
  const ServingParts* parts = PartsOrAnswer(context, exchange);
  if (parts == nullptr) return;
  const RequestOr<boost::json::object> body = ParseJsonObject(exchange.request().body);
  if (!body.ok()) return exchange.Respond(ToResponse(body.error()));
  FieldReader fields(*body);
  if (const auto fault = CheckModelField(fields, parts->model)) {
    return exchange.Respond(ToResponse(*fault));
  }
  const RequestOr<std::string> text = Detokenize(fields, *parts->codec);
  if (!text.ok()) return exchange.Respond(ToResponse(text.error()));
  std::string json = "{\"prompt\":";
  AppendJsonString(json, *text);
  json += '}';
  exchange.Respond(JsonResponse(std::move(json)));
}

}  // namespace intactkv
