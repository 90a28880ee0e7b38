// What a model's files say about its text: vocabulary, merges, special ids, chat template.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace intactkv {

// Values of GGUF's tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,  // an added token that is part of the text: recognized anywhere, printed
  kUnused = 5,
  kByte = 6,  // "<0x0A>": what a character without a token of its own is made of
};

// How tokenizer.json's added token looks around itself; all false: exactly its own bytes.
struct AddedTokenRule {
  int32_t id = -1;
  bool lstrip = false;       // takes the white space in front of it along
  bool rstrip = false;       // and behind it
  bool single_word = false;  // not inside a word
  bool normalized = false;   // looked for in the normalized text; kUserDefined only
};

// Where model "llama" puts a space that is not in the text.
enum class SpacePrefix {
  kNever,
  kFirst,   // in front of the whole text
  kAlways,  // in front of each piece between special tokens
};

struct SpaceRule {
  SpacePrefix prefix = SpacePrefix::kAlways;
  // As tokenizer.json's Metaspace does it: no space in front of a space; behind added tokens.
  bool metaspace = false;
  bool split = false;         // each space begins a word that no merge crosses
  bool decode_strips = true;  // one leading space of a whole text goes when it is decoded
  bool operator==(const SpaceRule&) const = default;
};

// The caller fills it from the model's files, key by key (GGUF names behind the fields). What a
// file leaves out is the family's own (ResolveDefaults).
struct TokenizerData {
  std::vector<std::string> tokens;    // tokenizer.ggml.tokens; index = id; GPT-2's byte alphabet
                                      // ("gpt2") or U+2581 for a space ("llama")
  std::vector<std::string> merges;    // tokenizer.ggml.merges: "left right", best first
  std::vector<float> scores;          // tokenizer.ggml.scores: "llama" without merges
  std::vector<int32_t> token_types;   // tokenizer.ggml.token_type
  std::string pre;                    // tokenizer.ggml.pre, e.g. "smollm"; not of "llama"
  std::string model;                  // tokenizer.ggml.model, "gpt2" or "llama"
  int bos_id = -1;                    // tokenizer.ggml.bos_token_id; -1: absent
  int eos_id = -1;                    // tokenizer.ggml.eos_token_id; -1: absent
  int unk_id = -1;                    // tokenizer.ggml.unknown_token_id; -1: absent
  std::optional<bool> add_bos;        // tokenizer.ggml.add_bos_token
  std::optional<bool> add_eos;        // tokenizer.ggml.add_eos_token
  std::optional<SpaceRule> space;     // tokenizer.ggml.add_space_prefix; "llama"
  std::optional<bool> nfc;            // text is composed first (Unicode NFC); "gpt2"
  std::optional<bool> ignore_merges;  // a word that is a token is that token; "gpt2"
  bool fuse_unknown = true;           // neighbouring unknown characters are one unknown token
  std::vector<AddedTokenRule> added;  // tokens with a rule that is not all false
  std::vector<int32_t> end_ids;       // further ids that end a generation
  std::string chat_template;          // tokenizer.chat_template; "": absent
};

// OK if a tokenizer can be built. kInvalidArgument: contradicts itself; kUnimplemented: a model or
// pre-tokenizer that we do not have. The message names the field. O(size of the data).
absl::Status ValidateTokenizerData(const TokenizerData& data);

// `data` (valid) with every optional field filled: model "llama" begins with BOS and a space
// prefix, pre-tokenizer "llama-bpe" begins with BOS and ignores merges, "qwen2" composes.
TokenizerData ResolveDefaults(TokenizerData data);

}  // namespace intactkv
