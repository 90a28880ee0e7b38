#include "server/http/router.h"

#include <utility>

#include "engine/base/check.h"
#include "server/http/error_response.h"

namespace intactkv {
namespace {

bool Matches(const Router::Route& route, std::string_view path) {
  if (!route.is_prefix) return path == route.path;
  return path.size() > route.path.size() && path.starts_with(route.path);
}

bool IsJson(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return EqualIgnoringCase(type, "application/json");
}

}  // namespace

void Router::Add(std::string_view method, std::string_view path, Handler handler) {
  routes_.push_back({std::string(method), std::string(path), false, std::move(handler)});
}

void Router::AddPrefix(std::string_view method, std::string_view prefix, Handler handler) {
  CHECK(prefix.ends_with('/'));
  routes_.push_back({std::string(method), std::string(prefix), true, std::move(handler)});
}

void Router::Dispatch(std::shared_ptr<Exchange> exchange) const {
  const HttpRequest& request = exchange->request();
  const std::string_view method =
      request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  std::string allow;
  for (const Route& route : routes_) {
    if (!Matches(route, request.path)) continue;
    if (route.method != method) {
      allow += (allow.empty() ? "" : ", ") + route.method;
      if (route.method == "GET") allow += ", HEAD";
      continue;
    }
    if (route.method == "POST" && !IsJson(request.Header("Content-Type"))) {
      exchange->Respond(ErrorResponse({.status = 415,
                                       .code = "unsupported_media_type",
                                       .message = "Send Content-Type: application/json."}));
      return;
    }
    route.handler(std::move(exchange));
    return;
  }
  if (allow.empty()) {
    exchange->Respond(ErrorResponse(
        {.status = 404, .code = "unknown_route", .message = "There is nothing at this path."}));
    return;
  }
  HttpResponse response = ErrorResponse({.status = 405,
                                         .code = "method_not_allowed",
                                         .message = "This path does not take that method; see "
                                                    "the Allow header."});
  response.headers.push_back({"Allow", allow});
  exchange->Respond(std::move(response));
}

}  // namespace intactkv
