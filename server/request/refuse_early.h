// What can be told about a request without encoding its prompt, which is the expensive part.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/api/text_codec.h"
#include "server/request/request_error.h"
#include "server/request/server_context.h"
#include "server/request/validated_request.h"

namespace intactkv {

// nullopt, or: 400 context_length_exceeded if the prompt has more bytes than a context full of the
// longest tokens; 429 queue_full or 503 draining if the engine would take no request now.
std::optional<RequestError> RefuseEarly(const ValidatedRequest& request, const ServingParts& parts);

// The bytes of the vocabulary's longest token that text can become. O(vocabulary).
int64_t LongestTokenBytes(const TextCodec& codec);

}  // namespace intactkv
