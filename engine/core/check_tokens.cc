#include "engine/core/check_tokens.h"

#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {

absl::Status CheckTokens(const std::vector<TokenId>& tokens, int32_t vocab_size) {
  for (const TokenId token : tokens) {
    if (token.value >= 0 && token.value < vocab_size) continue;
    return InvalidArgument("token id " + std::to_string(token.value) +
                           " is outside the vocabulary");
  }
  return absl::OkStatus();
}

}  // namespace intactkv
