// JSON bodies of the generation endpoints -> RawRequest. Checks types only; values are the
// validator's business, so that gRPC gets the same verdicts.
#pragma once

#include <string_view>

#include "server/request/raw_request.h"
#include "server/request/request_error.h"

namespace intactkv {

// `endpoint`: kChat or kCompletions. 400 invalid_json, invalid_type, invalid_value (a number out of
// int64's or double's range), missing_required_parameter (inside a message), unsupported_parameter
// (a content part that is not text, several prompts).
RequestOr<RawRequest> ParseGenerationRequest(std::string_view body, Endpoint endpoint);

}  // namespace intactkv
