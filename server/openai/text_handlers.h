// POST /tokenize and /detokenize. The work on texts happens on ServingParts::encoder.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/request/server_context.h"

namespace intactkv {

// {"prompt": "..."} or {"messages": [...], "add_generation_prompt": true} ->
// {"count", "max_model_len", "tokens"}. `model` may be left out.
void HandleTokenize(const ServerContext& context, const std::shared_ptr<Exchange>& exchange);
// {"tokens": [...]} -> {"prompt": "..."}; specials by name, bytes that are no text as U+FFFD.
void HandleDetokenize(const ServerContext& context, const std::shared_ptr<Exchange>& exchange);

}  // namespace intactkv
