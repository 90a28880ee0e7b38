// POST /v1/chat/completions and /v1/completions: from the body to the last byte of the answer.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/openai/api_routes.h"
#include "server/request/server_context.h"

namespace intactkv {

// Parses, validates, encodes, submits; then answers when the engine does. Every error that is known
// before the first token is a real HTTP status. The prompt is encoded on ServingParts::encoder. If
// the client leaves, the request is cancelled. `endpoint`: kChat or kCompletions. Runs on the
// exchange's executor.
void HandleGeneration(Endpoint endpoint, const ServerContext& context, const ApiOptions& options,
                      std::shared_ptr<Exchange> exchange);

}  // namespace intactkv
