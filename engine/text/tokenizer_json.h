// Reader of the text files of a Hugging Face model directory: tokenizer.json and its companions.
//
// Files are untrusted input. What we do not have (a model, normalizer, pre-tokenizer, decoder or
// post-processor) is refused by name.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// The contents of the files; only the first is needed.
struct TokenizerFiles {
  std::string tokenizer = {};                         // tokenizer.json
  std::optional<std::string> config = {};             // tokenizer_config.json
  std::optional<std::string> chat_template = {};      // chat_template.jinja: wins over the config's
  std::optional<std::string> generation_config = {};  // generation_config.json: ids that end
};

// Errors: kInvalidArgument (damaged, contradicts itself) and kUnimplemented, one line that names
// file and key. What the values mean together is checked by MakeTextCodec. `directory` stands in
// front of the files' names in messages.
absl::StatusOr<TokenizerData> ParseTokenizerFiles(const TokenizerFiles& files,
                                                  const std::string& directory);

// Reads the files of `directory`. kNotFound: it has no tokenizer.json. A file is at most
// kMaxTokenizerFileBytes.
absl::StatusOr<TokenizerData> ReadTokenizerDirectory(const std::string& directory);

inline constexpr size_t kMaxTokenizerFileBytes = size_t{64} << 20;

}  // namespace intactkv
