// The REST surface: which paths both listeners answer. The OpenAI endpoints and their companions on
// the API listener; probes, metrics and audit on the admin listener.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "server/http/router.h"
#include "server/request/server_context.h"

namespace intactkv {

struct ApiOptions {
  std::string version;                                  // e.g. "0.1.0"
  absl::Duration request_timeout = absl::Seconds(600);  // one generation, from arrival
  bool metrics_on_api = true;                           // while there are no API keys
  std::function<std::string()> render_metrics;          // Prometheus text; Thread-safe
  bool log_requests = true;                             // one line when a generation ends
};

// POST /v1/chat/completions, /v1/completions, /tokenize, /detokenize; GET /v1/models,
// /v1/models/{id}, /health, /version and, if metrics_on_api, /metrics. `context` is not owned and
// must outlive the server.
void AddApiRoutes(Router& router, const ServerContext& context, const ApiOptions& options);

// GET /livez, /readyz, /health, /version, /metrics, /admin/kv/audit. An audit holds one of the
// listener's threads until the engine's step ends, a second one is refused: two threads keep the
// probes answering.
void AddAdminRoutes(Router& router, const ServerContext& context, const ApiOptions& options);

}  // namespace intactkv
