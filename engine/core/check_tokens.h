// Token ids that come from outside, against the vocabulary that is served.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/ids.h"

namespace intactkv {

// kInvalidArgument: the first id outside [0, vocab_size).
absl::Status CheckTokens(const std::vector<TokenId>& tokens, int32_t vocab_size);

}  // namespace intactkv
