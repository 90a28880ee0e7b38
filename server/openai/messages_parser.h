// The `messages` array of a JSON body. Includes Boost.JSON: for this folder's .cc files.
#pragma once

#include <boost/json/value.hpp>
#include <vector>

#include "engine/api/text_codec.h"
#include "server/request/request_error.h"

namespace intactkv {

// Content is a string or a list of text parts, which are joined as they stand. Errors as
// ParseGenerationRequest; more than kMaxMessages entries are refused before they are read.
RequestOr<std::vector<ChatMessage>> ParseMessages(const boost::json::value& value);

}  // namespace intactkv
