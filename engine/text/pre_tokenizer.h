// Cuts text into the words inside which BPE merges. One class per family of models.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace intactkv {

// Immutable, Thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Appends the words of `text` in order; together they are `text`. A byte that is not UTF-8
  // counts as a symbol. O(text.size()).
  virtual void Split(std::string_view text, std::vector<std::string_view>& words) const = 0;
};

// The pre-tokenizer that GGUF's tokenizer.ggml.pre names; lives forever.
// kUnimplemented: we do not have it.
absl::StatusOr<const PreTokenizer*> FindPreTokenizer(std::string_view name);

}  // namespace intactkv
