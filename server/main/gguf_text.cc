#include "server/main/gguf_text.h"

#include <limits>
#include <optional>
#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

// An id that a file may leave out; -1 then.
absl::StatusOr<int> OptionalId(const GgufFile& file, const std::string& key) {
  if (!file.Has(key)) return -1;
  ASSIGN_OR_RETURN(const int64_t id, file.GetInt(key));
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument(key + ": " + std::to_string(id) + " is no token id");
  }
  return static_cast<int>(id);
}

absl::StatusOr<std::optional<bool>> OptionalBool(const GgufFile& file, const std::string& key) {
  if (!file.Has(key)) return std::nullopt;
  ASSIGN_OR_RETURN(const bool value, file.GetBool(key));
  return value;
}

}  // namespace

absl::StatusOr<TokenizerData> ReadTokenizerData(const GgufFile& file) {
  TokenizerData out;
  ASSIGN_OR_RETURN(out.model, file.GetString("tokenizer.ggml.model"));
  if (file.Has("tokenizer.ggml.pre")) {
    ASSIGN_OR_RETURN(out.pre, file.GetString("tokenizer.ggml.pre"));
  }
  ASSIGN_OR_RETURN(out.tokens, file.GetStringArray("tokenizer.ggml.tokens"));
  ASSIGN_OR_RETURN(const std::vector<int64_t> types, file.GetIntArray("tokenizer.ggml.token_type"));
  for (const int64_t type : types) {
    if (type < std::numeric_limits<int32_t>::min() || type > std::numeric_limits<int32_t>::max()) {
      return InvalidArgument("tokenizer.ggml.token_type: " + std::to_string(type) +
                             " is no token type");
    }
    out.token_types.push_back(static_cast<int32_t>(type));
  }
  if (file.Has("tokenizer.ggml.merges")) {
    ASSIGN_OR_RETURN(out.merges, file.GetStringArray("tokenizer.ggml.merges"));
  }
  if (file.Has("tokenizer.ggml.scores")) {
    ASSIGN_OR_RETURN(out.scores, file.GetFloatArray("tokenizer.ggml.scores"));
  }
  ASSIGN_OR_RETURN(out.bos_id, OptionalId(file, "tokenizer.ggml.bos_token_id"));
  ASSIGN_OR_RETURN(out.eos_id, OptionalId(file, "tokenizer.ggml.eos_token_id"));
  ASSIGN_OR_RETURN(out.unk_id, OptionalId(file, "tokenizer.ggml.unknown_token_id"));
  ASSIGN_OR_RETURN(out.add_bos, OptionalBool(file, "tokenizer.ggml.add_bos_token"));
  ASSIGN_OR_RETURN(out.add_eos, OptionalBool(file, "tokenizer.ggml.add_eos_token"));
  ASSIGN_OR_RETURN(const std::optional<bool> space,
                   OptionalBool(file, "tokenizer.ggml.add_space_prefix"));
  if (!space.value_or(true)) {
    out.space = SpaceRule{.prefix = SpacePrefix::kNever, .decode_strips = false};
  }
  if (file.Has("tokenizer.chat_template")) {
    ASSIGN_OR_RETURN(out.chat_template, file.GetString("tokenizer.chat_template"));
  }
  return out;
}

}  // namespace intactkv
