#include "server/openai/api_routes.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/base/json_log.h"
#include "engine/base/page_entry.h"
#include "server/openai/generation_handler.h"
#include "server/openai/responses.h"
#include "server/openai/text_handlers.h"

namespace intactkv {
namespace {

std::string ModelJson(const ServedModel& model) {
  std::string json = "{\"id\":";
  AppendJsonString(json, model.name);
  json += ",\"object\":\"model\",\"created\":" + std::to_string(model.created_unix_seconds) +
          ",\"owned_by\":\"intactkv\",\"root\":";
  AppendJsonString(json, model.name);
  json += ",\"parent\":null,\"max_model_len\":" + std::to_string(model.max_model_len) + "}";
  return json;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// nullopt if a '%' is not followed by two hex digits.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

void HandleModels(const ServerContext& context, Exchange& exchange) {
  const ServingParts* parts = context.parts();
  if (parts == nullptr) return exchange.Respond(ToResponse(LoadingError()));
  exchange.Respond(
      JsonResponse("{\"object\":\"list\",\"data\":[" + ModelJson(parts->model) + "]}"));
}

void HandleModel(const ServerContext& context, Exchange& exchange) {
  constexpr std::string_view kPrefix = "/v1/models/";
  const ServingParts* parts = context.parts();
  if (parts == nullptr) return exchange.Respond(ToResponse(LoadingError()));
  const std::optional<std::string> name =
      PercentDecode(std::string_view(exchange.request().path).substr(kPrefix.size()));
  if (name != parts->model.name) return exchange.Respond(ToResponse(ModelNotFound()));
  exchange.Respond(JsonResponse(ModelJson(parts->model)));
}

// No step takes this long: first no more requests, then, if it goes on, a restart.
constexpr absl::Duration kNotReadyAfter = absl::Seconds(30);
constexpr absl::Duration kNotLiveAfter = absl::Seconds(120);

bool IsStalled(const ServerContext& context, absl::Duration limit) {
  const ServingParts* parts = context.parts();
  return parts != nullptr && parts->engine->Stats().last_step_age > limit;
}

void AnswerProbe(std::optional<RequestError> problem, Exchange& exchange) {
  if (problem.has_value()) return exchange.Respond(ToResponse(*problem));
  exchange.Respond(JsonResponse("{\"status\":\"ok\"}"));
}

// 200 when requests are taken, else 503 with the reason in OpenAI's error shape.
void HandleReady(const ServerContext& context, Exchange& exchange) {
  std::optional<RequestError> problem = context.NotReady();
  if (!problem.has_value() && IsStalled(context, kNotReadyAfter)) problem = StalledError();
  AnswerProbe(std::move(problem), exchange);
}

// 200 unless only a restart can help.
void HandleLive(const ServerContext& context, Exchange& exchange) {
  std::optional<RequestError> problem;
  if (IsStalled(context, kNotLiveAfter)) problem = StalledError();
  AnswerProbe(std::move(problem), exchange);
}

std::string AuditJson(const AuditReport& report) {
  constexpr const char* kClassNames[kNumPageClasses] = {"pinned", "stored", "hot"};
  std::string json = "{\"pages\":{";
  for (size_t i = 0; i < report.pages.size(); ++i) {
    const PageCounts& pages = report.pages[i];
    if (i > 0) json += ',';
    json += std::string("\"") + kClassNames[i] + "\":{\"total\":" + std::to_string(pages.total) +
            ",\"free\":" + std::to_string(pages.free) +
            ",\"owned\":" + std::to_string(pages.owned) +
            ",\"cached\":" + std::to_string(pages.cached) +
            ",\"pinned\":" + std::to_string(pages.pinned) +
            ",\"unaccounted\":" + std::to_string(report.unaccounted[i]) + "}";
  }
  json += "},\"problems\":[";
  for (size_t i = 0; i < report.problems.size(); ++i) {
    if (i > 0) json += ',';
    AppendJsonString(json, report.problems[i]);
  }
  json += "],\"ledger\":{";
  for (size_t i = 0; i < report.ledger_totals.size(); ++i) {
    const auto& [name, total] = report.ledger_totals[i];
    json += (i > 0 ? ",\"" : "\"") + name + "\":" + std::to_string(total);
  }
  json += "},\"recent\":[";
  for (size_t i = 0; i < report.recent.size(); ++i) {
    if (i > 0) json += ',';
    AppendJsonString(json, report.recent[i]);
  }
  json += "]}";
  return json;
}

// One at a time: it waits for the engine's step to end, and so holds a thread that probes need.
void HandleAudit(const ServerContext& context, std::atomic<bool>& busy, Exchange& exchange) {
  const ServingParts* parts = context.parts();
  if (parts == nullptr) return exchange.Respond(ToResponse(LoadingError()));
  if (busy.exchange(true)) {
    return exchange.Respond(ErrorResponse({.status = 503,
                                           .type = "server_error",
                                           .code = "audit_running",
                                           .message = "Another audit is running.",
                                           .retry_after_seconds = 1}));
  }
  const absl::StatusOr<AuditReport> report = parts->engine->Audit();
  busy.store(false);
  if (!report.ok()) return exchange.Respond(ToResponse(ErrorFromStatus(report.status())));
  exchange.Respond(JsonResponse(AuditJson(*report)));
}

using SmallHandler = void (*)(const ServerContext&, Exchange&);
Handler With(const ServerContext& context, SmallHandler handler) {
  return [&context, handler](const std::shared_ptr<Exchange>& exchange) {
    handler(context, *exchange);
  };
}

using SharedHandler = void (*)(const ServerContext&, const std::shared_ptr<Exchange>&);
Handler WithShared(const ServerContext& context, SharedHandler handler) {
  return [&context, handler](const std::shared_ptr<Exchange>& exchange) {
    handler(context, exchange);
  };
}

void AddShared(Router& router, const ServerContext& context, const ApiOptions& options) {
  router.Add("GET", "/health", With(context, HandleReady));
  std::string version = "{\"version\":";
  AppendJsonString(version, options.version);
  version += '}';
  router.Add("GET", "/version", [version](const std::shared_ptr<Exchange>& exchange) {
    exchange->Respond(JsonResponse(version));
  });
}

void AddMetrics(Router& router, const ApiOptions& options) {
  if (!options.render_metrics) return;
  router.Add("GET", "/metrics",
             [render = options.render_metrics](const std::shared_ptr<Exchange>& exchange) {
               HttpResponse response;
               response.content_type = "text/plain; version=0.0.4; charset=utf-8";
               response.body = render();
               exchange->Respond(std::move(response));
             });
}

}  // namespace

void AddApiRoutes(Router& router, const ServerContext& context, const ApiOptions& options) {
  const auto generation = [&](Endpoint endpoint) -> Handler {
    return [endpoint, &context, options](std::shared_ptr<Exchange> exchange) {
      HandleGeneration(endpoint, context, options, std::move(exchange));
    };
  };
  router.Add("POST", "/v1/chat/completions", generation(Endpoint::kChat));
  router.Add("POST", "/v1/completions", generation(Endpoint::kCompletions));
  router.Add("POST", "/tokenize", WithShared(context, HandleTokenize));
  router.Add("POST", "/detokenize", WithShared(context, HandleDetokenize));
  router.Add("GET", "/v1/models", With(context, HandleModels));
  router.AddPrefix("GET", "/v1/models/", With(context, HandleModel));
  AddShared(router, context, options);
  if (options.metrics_on_api) AddMetrics(router, options);
}

void AddAdminRoutes(Router& router, const ServerContext& context, const ApiOptions& options) {
  router.Add("GET", "/livez", With(context, HandleLive));
  router.Add("GET", "/readyz", With(context, HandleReady));
  router.Add(
      "GET", "/admin/kv/audit",
      [&context, busy = std::make_shared<std::atomic<bool>>(false)](
          const std::shared_ptr<Exchange>& exchange) { HandleAudit(context, *busy, *exchange); });
  AddShared(router, context, options);
  AddMetrics(router, options);
}

}  // namespace intactkv
