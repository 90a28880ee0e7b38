// What a model file says about its text: vocabulary, merges, special ids, chat template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace intactkv {

// Values of GGUF's tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// The caller fills it from the model file, key by key (GGUF names behind the fields).
struct TokenizerData {
  std::vector<std::string> tokens;   // tokenizer.ggml.tokens; index = id; GPT-2's byte alphabet
  std::vector<std::string> merges;   // tokenizer.ggml.merges: "left right", best first
  std::vector<int32_t> token_types;  // tokenizer.ggml.token_type
  std::string pre;                   // tokenizer.ggml.pre, e.g. "smollm"
  std::string model;                 // tokenizer.ggml.model, "gpt2"
  int bos_id = -1;                   // tokenizer.ggml.bos_token_id; -1: absent
  int eos_id = -1;                   // tokenizer.ggml.eos_token_id; -1: absent
  bool add_bos = false;              // tokenizer.ggml.add_bos_token
  std::string chat_template;         // tokenizer.chat_template; "": absent
};

// OK if a tokenizer can be built. kInvalidArgument: contradicts itself; kUnimplemented: a model or
// pre-tokenizer that we do not have. The message names the field. O(size of the data).
absl::Status ValidateTokenizerData(const TokenizerData& data);

}  // namespace intactkv
