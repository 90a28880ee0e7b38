// From an opened model, GGUF file or directory, to the tokenizer's own description of its text.
#pragma once

#include "absl/status/statusor.h"
#include "engine/checkpoint/opened_model.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Errors name the file, and the key where there is one. kUnimplemented: a directory, whose
// tokenizer.json is not read yet. What the values mean together is checked by MakeTextCodec.
absl::StatusOr<TokenizerData> ReadModelText(const OpenedModel& model);

}  // namespace intactkv
