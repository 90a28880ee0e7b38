#include "tests/unit/engine/text/family_vocabulary.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/base/status_macros.h"
#include "engine/text/tokenizer_json.h"
#include "tests/unit/engine/text/gguf_tokenizer.h"

namespace intactkv::testing {

std::string FetchedVocabularyPath(const std::string& file) {
  if (const char* folder = std::getenv("INTACTKV_TEST_VOCABULARIES")) {
    return std::string(folder) + "/" + file;
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = cache ? cache : std::string(home ? home : "") + "/.cache";
  return base + "/intactkv/vocabularies/" + file;
}

absl::StatusOr<TokenizerData> ReadVocabulary(const std::string& path) {
  if (!path.ends_with(".json")) {
    std::optional<TokenizerData> data = ReadGgufTokenizer(path);
    if (!data.has_value()) return NotFound("no vocabulary at " + path);
    return *std::move(data);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("no vocabulary at " + path);
  std::stringstream text;
  text << file.rdbuf();
  return ParseTokenizerFiles({.tokenizer = text.str()}, "");
}

}  // namespace intactkv::testing
