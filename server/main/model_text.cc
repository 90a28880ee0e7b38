#include "server/main/model_text.h"

#include "engine/base/status_macros.h"
#include "server/main/gguf_text.h"

namespace intactkv {
namespace {

absl::StatusOr<TokenizerData> ReadDirectoryText(const DirectoryTexts& texts) {
  const std::string where = texts.path + "/tokenizer.json: ";
  if (texts.tokenizer_json.empty()) {
    return NotFound(where + "is missing; a model is served with its tokenizer");
  }
  return Unimplemented(where +
                       "tokenizers of directories are not supported yet; serve the model "
                       "as a GGUF file");
}

}  // namespace

absl::StatusOr<TokenizerData> ReadModelText(const OpenedModel& model) {
  if (model.gguf() != nullptr) return ReadTokenizerData(*model.gguf());
  ASSIGN_OR_RETURN(const DirectoryTexts texts, model.ReadTexts());
  return ReadDirectoryText(texts);
}

}  // namespace intactkv
