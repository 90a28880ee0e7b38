// Request head bytes -> HttpRequest, by Boost.Beast. Runs after CheckFraming: two parsers must
// agree before a request is believed.
#pragma once

#include <optional>
#include <string_view>

#include "server/http/framing.h"
#include "server/http/http_types.h"

namespace intactkv {

// `head` with its final CRLF CRLF. nullopt if Beast refuses it. The body stays empty.
std::optional<HttpRequest> ParseHead(std::string_view head, const FramingLimits& limits);

}  // namespace intactkv
