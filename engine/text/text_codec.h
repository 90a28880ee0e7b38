// Makes the TextCodec of a model from its tokenizer data.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/api/text_codec.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

struct TextCodecOptions {
  int64_t now_unix_seconds = 0;  // what templates that print a date print, in UTC: frozen at start
  jinja::Limits template_limits = {};  // of one rendering
};

// Errors: those of ValidateTokenizerData; kInvalidArgument or kUnimplemented if the chat template
// does not compile in our subset of Jinja. Without a template EncodeChat and SystemPrefix give
// kFailedPrecondition. Encode puts BOS in front and EOS behind if the data says so; EncodeChat
// leaves that to the template. A byte for which the vocabulary has no token at all is left out (or
// becomes the unknown token), as the `tokenizers` package does (21 of 256 in SmolLM2: six control
// characters, and bytes that no assigned character uses); all others come back from Decode as they
// were. Decode drops the one leading space that Encode of a vocabulary of characters adds; a
// StreamDecoder continues a text and keeps it. User-defined tokens (added, but not special) are
// text: recognized wherever they stand, and printed.
// A codec outlives its stream decoders.
absl::StatusOr<std::unique_ptr<TextCodec>> MakeTextCodec(TokenizerData data,
                                                         TextCodecOptions options = {});

}  // namespace intactkv
