#include "engine/text/tokenizer_data.h"

#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/text/pre_tokenizer.h"

namespace intactkv {

namespace {

// Longer ones would make MergeTable::FromScores slow; SentencePiece makes none.
constexpr size_t kMaxScoredTokenBytes = 512;

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
    if (!known.contains(part))
      return InvalidArgument(at + " needs unknown token \"" + Printable(part) + "\"");
  }
  return absl::OkStatus();
}

absl::Status CheckScores(const TokenizerData& data) {
  if (!data.merges.empty()) return absl::OkStatus();
  if (data.scores.size() != data.tokens.size()) {
    return InvalidArgument("tokenizer.ggml.scores has " + std::to_string(data.scores.size()) +
                           " entries, tokenizer.ggml.tokens has " +
                           std::to_string(data.tokens.size()) + ", and there are no merges");
  }
  for (size_t i = 0; i < data.scores.size(); ++i) {
    const std::string at = "[" + std::to_string(i) + "]";
    if (!std::isfinite(data.scores[i])) {
      return InvalidArgument("tokenizer.ggml.scores" + at + " is not finite");
    }
    if (data.tokens[i].size() > kMaxScoredTokenBytes) {
      return InvalidArgument("tokenizer.ggml.tokens" + at + " is longer than " +
                             std::to_string(kMaxScoredTokenBytes) + " bytes");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const TokenizerData& data) {
  if (data.model == "llama") return CheckScores(data);
  if (data.model == "gpt2") return FindPreTokenizer(data.pre).status();
  return Unimplemented("tokenizer.ggml.model \"" + Printable(data.model) +
                       "\": built in are \"gpt2\" and \"llama\"");
}

absl::Status CheckAdded(const TokenizerData& data) {
  for (const AddedTokenRule& rule : data.added) {
    const std::string what = "the rule of added token " + std::to_string(rule.id);
    if (rule.id < 0 || rule.id >= std::ssize(data.tokens)) {
      return InvalidArgument(what + " is outside the vocabulary");
    }
    const int32_t type = data.token_types[static_cast<size_t>(rule.id)];
    if (type != static_cast<int32_t>(TokenType::kControl) &&
        type != static_cast<int32_t>(TokenType::kUserDefined)) {
      return InvalidArgument(what + ": it is no added token");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckIds(const TokenizerData& data) {
  RETURN_IF_ERROR(CheckId(data, "tokenizer.ggml.bos_token_id", data.bos_id));
  RETURN_IF_ERROR(CheckId(data, "tokenizer.ggml.eos_token_id", data.eos_id));
  RETURN_IF_ERROR(CheckId(data, "tokenizer.ggml.unknown_token_id", data.unk_id));
  for (const int32_t id : data.end_ids) {
    if (id < 0) return InvalidArgument("an end id is negative");
    RETURN_IF_ERROR(CheckId(data, "an end id", id));
  }
  if (data.add_bos.value_or(false) && data.bos_id < 0) {
    return InvalidArgument("tokenizer.ggml.add_bos_token is set without a bos_token_id");
  }
  if (data.add_eos.value_or(false) && data.eos_id < 0) {
    return InvalidArgument("tokenizer.ggml.add_eos_token is set without an eos_token_id");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateTokenizerData(const TokenizerData& data) {
  RETURN_IF_ERROR(CheckVocabulary(data));
  RETURN_IF_ERROR(CheckModel(data));
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
  RETURN_IF_ERROR(CheckIds(data));
  return CheckAdded(data);
}

TokenizerData ResolveDefaults(TokenizerData data) {
  const bool llama = data.model == "llama";
  const bool llama3 =
      !llama && (data.pre == "llama-bpe" || data.pre == "llama3" || data.pre == "llama-v3");
  if (!data.add_bos.has_value()) data.add_bos = (llama || llama3) && data.bos_id >= 0;
  if (!data.add_eos.has_value()) data.add_eos = false;
  if (!data.space.has_value()) data.space = SpaceRule{};
  if (!data.nfc.has_value()) data.nfc = !llama && data.pre == "qwen2";
  if (!data.ignore_merges.has_value()) data.ignore_merges = llama3;
  return data;
}

}  // namespace intactkv
