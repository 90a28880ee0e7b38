#include "server/openai/request_parser.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/openai/json_reader.h"
#include "server/openai/messages_parser.h"
#include "server/openai/unsupported_parameters.h"

namespace intactkv {
namespace {

namespace json = boost::json;

void ReadMessages(FieldReader& fields, RawRequest& raw) {
  const json::value* value = fields.Find("messages");
  if (value == nullptr) return;
  RequestOr<std::vector<ChatMessage>> messages = ParseMessages(*value);
  if (!messages.ok()) return fields.Fail(messages.error());
  raw.messages = std::move(messages).value();
}

// A string, a list of ids, or a list that holds one of them.
void ReadPrompt(FieldReader& fields, RawRequest& raw) {
  const json::value* value = fields.Find("prompt");
  if (value == nullptr) return;
  if (const json::array* list = value->if_array()) {
    const bool nested = !list->empty() && !list->front().is_number();
    if (nested && list->size() > 1) return fields.Fail(UnsupportedParameter("prompt"));
    if (nested) value = &list->front();
  }
  if (value->is_string()) {
    raw.prompt = ToString(value->get_string());
    return;
  }
  if (!value->is_array()) {
    return fields.Fail(InvalidType("prompt", "a string or an array of token ids"));
  }
  RequestOr<std::vector<int64_t>> ids = ToIntegers(*value, "prompt");
  if (!ids.ok()) return fields.Fail(ids.error());
  if (raw.token_ids.has_value()) {
    return fields.Fail(InvalidValue("token_ids", "contradicts 'prompt'. Give one of them."));
  }
  raw.token_ids = std::move(ids).value();
  raw.token_ids_param = "prompt";
}

void ReadStop(FieldReader& fields, RawRequest& raw) {
  const json::value* value = fields.Find("stop");
  if (value == nullptr) return;
  std::vector<std::string> stops;
  if (value->is_string()) {
    stops.push_back(ToString(value->get_string()));
  } else {
    const json::array* list = value->if_array();
    if (list == nullptr) return fields.Fail(InvalidType("stop", "a string or an array of strings"));
    for (const json::value& element : *list) {
      if (!element.is_string()) {
        return fields.Fail(InvalidType("stop", "a string or an array of strings"));
      }
      stops.push_back(ToString(element.get_string()));
    }
  }
  raw.stop = std::move(stops);
}

void ReadStreamOptions(FieldReader& fields, RawRequest& raw) {
  const json::value* value = fields.Find("stream_options");
  if (value == nullptr) return;
  const json::object* options = value->if_object();
  if (options == nullptr) return fields.Fail(InvalidType("stream_options", "an object"));
  FieldReader inner(*options, "stream_options.");
  inner.Read("include_usage", raw.include_usage);
  if (inner.error().has_value()) return fields.Fail(*inner.error());
  if (!raw.include_usage.has_value()) raw.include_usage = false;
}

void ReadOutputFields(FieldReader& fields, RawRequest& raw) {
  if (raw.endpoint == Endpoint::kCompletions) {
    fields.Read("logprobs", raw.completion_logprobs);
  } else {
    fields.Read("logprobs", raw.logprobs);
    fields.Read("top_logprobs", raw.top_logprobs);
  }
  fields.Read("stream", raw.stream);
  ReadStreamOptions(fields, raw);
  fields.Read("return_token_ids", raw.return_token_ids);
  fields.Read("cache_salt", raw.cache_salt);
}

}  // namespace

RequestOr<RawRequest> ParseGenerationRequest(std::string_view body, Endpoint endpoint) {
  const RequestOr<json::object> object = ParseJsonObject(body);
  if (!object.ok()) return object.error();
  RawRequest raw;
  raw.endpoint = endpoint;
  FieldReader fields(*object);
  fields.Read("model", raw.model);
  ReadMessages(fields, raw);
  fields.Read("token_ids", raw.token_ids);
  ReadPrompt(fields, raw);
  fields.Read("max_tokens", raw.max_tokens);
  fields.Read("max_completion_tokens", raw.max_completion_tokens);
  fields.Read("min_tokens", raw.min_tokens);
  fields.Read("temperature", raw.temperature);
  fields.Read("top_k", raw.top_k);
  fields.Read("top_p", raw.top_p);
  fields.Read("min_p", raw.min_p);
  fields.Read("seed", raw.seed);
  fields.Read("n", raw.n);
  ReadStop(fields, raw);
  fields.Read("stop_token_ids", raw.stop_token_ids);
  fields.Read("ignore_eos", raw.ignore_eos);
  ReadOutputFields(fields, raw);
  if (fields.error().has_value()) return *fields.error();
  raw.unsupported = FindUnsupported(*object);
  return raw;
}

}  // namespace intactkv
