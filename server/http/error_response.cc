#include "server/http/error_response.h"

#include "engine/base/json_log.h"

namespace intactkv {
namespace {

void AppendStringOrNull(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += "null";
  } else {
    AppendJsonString(out, text);
  }
}

}  // namespace

std::string ErrorJson(const HttpError& error) {
  std::string json = "{\"error\":{\"message\":";
  AppendJsonString(json, error.message);
  json += ",\"type\":";
  AppendJsonString(json, error.type);
  json += ",\"param\":";
  AppendStringOrNull(json, error.param);
  json += ",\"code\":";
  AppendStringOrNull(json, error.code);
  json += "}}";
  return json;
}

HttpResponse ErrorResponse(const HttpError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = ErrorJson(error);
  if (error.retry_after_seconds > 0) {
    response.headers.push_back({"Retry-After", std::to_string(error.retry_after_seconds)});
  }
  if (!error.retryable) response.headers.push_back({"x-should-retry", "false"});
  return response;
}

}  // namespace intactkv
