// Test only: the tokenizer metadata of a GGUF file, without the engine's model reader.
#pragma once

#include <optional>
#include <string>

#include "engine/text/tokenizer_data.h"

namespace intactkv::testing {

// $INTACTKV_TEST_MODEL, else the default model in $XDG_CACHE_HOME or ~/.cache.
std::string TestModelPath();

// nullopt: no readable GGUF version 3 at `path`.
std::optional<TokenizerData> ReadGgufTokenizer(const std::string& path);

// The default model's data, read once; nullptr if the file is absent.
const TokenizerData* TestModelTokenizer();

// 256 bytes as normal tokens 0..255, then `merges` ("a b") in the byte alphabet, then the control
// tokens <|endoftext|>, <|im_start|>, <|im_end|> and the user-defined <tool>.
TokenizerData TinyTokenizer(std::vector<std::string> merges = {});

}  // namespace intactkv::testing
