#include "server/openai/request_parser.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
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

// A list of strings, or one that stands for a list of one.
void ReadStrings(FieldReader& fields, const char* name,
                 std::optional<std::vector<std::string>>& out) {
  constexpr char kWanted[] = "a string or an array of strings";
  const json::value* value = fields.Find(name);
  if (value == nullptr) return;
  std::vector<std::string> strings;
  if (value->is_string()) {
    strings.push_back(ToString(value->get_string()));
  } else {
    const json::array* list = value->if_array();
    if (list == nullptr) return fields.Fail(InvalidType(name, kWanted));
    for (const json::value& element : *list) {
      if (!element.is_string()) return fields.Fail(InvalidType(name, kWanted));
      strings.push_back(ToString(element.get_string()));
    }
  }
  out = std::move(strings);
}

// {"token id": bias, ...}
void ReadLogitBias(FieldReader& fields, RawRequest& raw) {
  const json::value* value = fields.Find("logit_bias");
  if (value == nullptr) return;
  const json::object* object = value->if_object();
  if (object == nullptr) return fields.Fail(InvalidType("logit_bias", "an object"));
  std::vector<std::pair<int64_t, double>> biases;
  for (const auto& [key, bias] : *object) {
    int64_t id = 0;
    const char* end = key.data() + key.size();
    const auto read = std::from_chars(key.data(), end, id);
    if (read.ec != std::errc() || read.ptr != end) {
      return fields.Fail(InvalidValue("logit_bias", "must have token ids as its keys."));
    }
    if (!bias.is_number()) return fields.Fail(InvalidType("logit_bias", "an object of numbers"));
    biases.emplace_back(id, bias.to_number<double>());
  }
  raw.logit_bias = std::move(biases);
}

void ReadSampling(FieldReader& fields, RawRequest& raw) {
  fields.Read("temperature", raw.temperature);
  fields.Read("top_k", raw.top_k);
  fields.Read("top_p", raw.top_p);
  fields.Read("min_p", raw.min_p);
  fields.Read("seed", raw.seed);
  fields.Read("n", raw.n);
  fields.Read("frequency_penalty", raw.frequency_penalty);
  fields.Read("presence_penalty", raw.presence_penalty);
  fields.Read("repetition_penalty", raw.repetition_penalty);
  ReadLogitBias(fields, raw);
  fields.Read("allowed_token_ids", raw.allowed_token_ids);
  ReadStrings(fields, "bad_words", raw.bad_words);
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
  fields.Read("echo", raw.echo);
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
  ReadSampling(fields, raw);
  ReadStrings(fields, "stop", raw.stop);
  fields.Read("include_stop_str_in_output", raw.include_stop_str_in_output);
  fields.Read("stop_token_ids", raw.stop_token_ids);
  fields.Read("ignore_eos", raw.ignore_eos);
  ReadOutputFields(fields, raw);
  if (fields.error().has_value()) return *fields.error();
  raw.unsupported = FindUnsupported(*object);
  return raw;
}

}  // namespace intactkv
