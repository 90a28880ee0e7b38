#include "server/main/model_text.h"

#include "engine/base/status_macros.h"
#include "server/main/gguf_text.h"

namespace intactkv {

absl::StatusOr<TokenizerData> ReadModelText(const OpenedModel& model) {
  if (model.gguf() != nullptr) return ReadTokenizerData(*model.gguf());
  return Unimplemented(model.weights().path() +
                       ": tokenizers of directories (tokenizer.json) are not supported yet; serve "
                       "the model as a GGUF file");
}

}  // namespace intactkv
