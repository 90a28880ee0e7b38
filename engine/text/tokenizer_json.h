// Reader of the text files of a Hugging Face model directory: tokenizer.json and its companions.
//
// Files are untrusted input. What we do not have (a model, normalizer, pre-tokenizer, decoder or
// post-processor) is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// The contents of the files; "" for one that is not there. Only the first is needed.
struct TokenizerFiles {
  std::string tokenizer = {};         // tokenizer.json
  std::string config = {};            // tokenizer_config.json
  std::string chat_template = {};     // chat_template.jinja: wins over the config's
  std::vector<int64_t> end_ids = {};  // generation_config.json's eos_token_id
};

// Errors: kInvalidArgument (damaged, contradicts itself) and kUnimplemented, one line that names
// file and key. What the values mean together is checked by MakeTextCodec. `directory` stands in
// front of the files' names in messages.
absl::StatusOr<TokenizerData> ParseTokenizerFiles(const TokenizerFiles& files,
                                                  const std::string& directory);

}  // namespace intactkv
