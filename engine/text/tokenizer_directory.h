// The tokenizer of a Hugging Face model directory.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Reads tokenizer.json and, where they are there, tokenizer_config.json, chat_template.jinja and
// the eos_token_id of generation_config.json (without that file: of config.json). Errors:
// kNotFound (no tokenizer.json), kInvalidArgument (a file of more than kMaxTokenizerFileBytes, or
// damaged), kUnimplemented; one line that names the file. What the values mean together is checked
// by MakeTextCodec.
absl::StatusOr<TokenizerData> ReadTokenizerDirectory(const std::string& directory);

inline constexpr size_t kMaxTokenizerFileBytes = size_t{64} << 20;

}  // namespace intactkv
