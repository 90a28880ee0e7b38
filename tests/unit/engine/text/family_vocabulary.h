// Test only: vocabularies of the model families, and what the `tokenizers` package makes of them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv::testing {

// Where scripts/fetch-vocabularies.sh keeps the file: INTACTKV_TEST_VOCABULARIES or the cache.
std::string FetchedVocabularyPath(const std::string& file);

// A GGUF file, or a tokenizer.json (the name ends so).
absl::StatusOr<TokenizerData> ReadVocabulary(const std::string& path);

}  // namespace intactkv::testing
