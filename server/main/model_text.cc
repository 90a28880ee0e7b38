#include "server/main/model_text.h"

#include "engine/text/tokenizer_directory.h"
#include "server/main/gguf_text.h"

namespace intactkv {

absl::StatusOr<TokenizerData> ReadModelText(const OpenedModel& model) {
  if (model.gguf() != nullptr) return ReadTokenizerData(*model.gguf());
  return ReadTokenizerDirectory(model.weights().path());
}

}  // namespace intactkv
