#include "engine/text/tokenizer_data.h"

#include <limits>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "engine/base/status_macros.h"
#include "engine/text/pre_tokenizer.h"

namespace intactkv {

namespace {

absl::Status CheckVocabulary(const TokenizerData& data) {
  if (data.tokens.empty()) return InvalidArgument("tokenizer.ggml.tokens is empty");
  if (data.tokens.size() > std::numeric_limits<int32_t>::max() / 2) {
    return InvalidArgument("tokenizer.ggml.tokens has too many entries");
  }
  if (data.token_types.size() != data.tokens.size()) {
    return InvalidArgument(
        "tokenizer.ggml.token_type has " + std::to_string(data.token_types.size()) +
        " entries, tokenizer.ggml.tokens has " + std::to_string(data.tokens.size()));
  }
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string at = "[" + std::to_string(i) + "]";
    if (data.tokens[i].empty()) return InvalidArgument("tokenizer.ggml.tokens" + at + " is empty");
    if (data.token_types[i] < 1 || data.token_types[i] > 6) {
      return InvalidArgument("tokenizer.ggml.token_type" + at + " is " +
                             std::to_string(data.token_types[i]) + ", not 1 to 6");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckId(const TokenizerData& data, const char* field, int id) {
  if (id >= -1 && id < static_cast<int64_t>(data.tokens.size())) return absl::OkStatus();
  return InvalidArgument(std::string(field) + " is " + std::to_string(id) + ", outside the " +
                         std::to_string(data.tokens.size()) + " tokens");
}

using TokenSet = absl::flat_hash_set<std::string>;

absl::Status CheckMerge(const TokenSet& known, const std::string& merge, size_t index) {
  const std::string at = "tokenizer.ggml.merges[" + std::to_string(index) + "]";
  const size_t space = merge.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
      merge.find(' ', space + 1) != std::string::npos) {
    return InvalidArgument(at + " is not \"left right\"");
  }
  const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
  for (const std::string& part : {left, right, left + right}) {
    if (!known.contains(part)) return InvalidArgument(at + " needs unknown token \"" + part + "\"");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateTokenizerData(const TokenizerData& data) {
  if (data.model != "gpt2") {
    return Unimplemented("tokenizer.ggml.model \"" + data.model + "\": only \"gpt2\" is built in");
  }
  RETURN_IF_ERROR(FindPreTokenizer(data.pre).status());
  RETURN_IF_ERROR(CheckVocabulary(data));
  TokenSet known;
  known.reserve(data.tokens.size());
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    if (!known.insert(data.tokens[i]).second) {
      return InvalidArgument("tokenizer.ggml.tokens[" + std::to_string(i) +
                             "] repeats an earlier token");
    }
  }
  for (size_t i = 0; i < data.merges.size(); ++i) {
    RETURN_IF_ERROR(CheckMerge(known, data.merges[i], i));
  }
  RETURN_IF_ERROR(CheckId(data, "tokenizer.ggml.bos_token_id", data.bos_id));
  RETURN_IF_ERROR(CheckId(data, "tokenizer.ggml.eos_token_id", data.eos_id));
  if (data.add_bos && data.bos_id < 0) {
    return InvalidArgument("tokenizer.ggml.add_bos_token is set without a bos_token_id");
  }
  return absl::OkStatus();
}

}  // namespace intactkv
