// From a GGUF file's metadata to the tokenizer's own description of a vocabulary.
#pragma once

#include "absl/status/statusor.h"
#include "engine/model/gguf.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Errors: kInvalidArgument/kNotFound, naming the metadata key. What the values mean together is
// checked by MakeTextCodec.
absl::StatusOr<TokenizerData> ReadTokenizerData(const GgufFile& file);

}  // namespace intactkv
