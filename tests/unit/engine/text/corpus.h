// Test only: a deterministic mixed text, in chunks; the committed ids of the oracle are per chunk.
#pragma once

#include <string>
#include <vector>

#include "engine/text/tokenizer_data.h"

namespace intactkv::testing {

// At least 1 MB of valid UTF-8: English, code, Chinese, Arabic, other scripts, emoji, control
// characters, white space, digits, random code points, words glued from the model's own tokens, and
// each code point of the planes 0 and 1 between two letters.
std::vector<std::string> MakeCorpus(const TokenizerData& data);

// At least 128 kB of the same with combining marks, Hangul letters and names of added tokens among
// it, and then each code point of the planes 0 and 1 between two letters.
std::vector<std::string> MakeFamilyCorpus(const TokenizerData& data);

}  // namespace intactkv::testing
