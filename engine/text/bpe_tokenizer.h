// BPE: text -> ids and ids -> bytes, without added tokens. Byte-level (GPT-2, Llama-3, Qwen,
// SmolLM) or by characters with a fallback to bytes (Llama-2, Mistral).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/text/merge_table.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Immutable, Thread-safe.
class BpeTokenizer {
 public:
  // Errors: those of ValidateTokenizerData.
  static absl::StatusOr<BpeTokenizer> Make(const TokenizerData& data);

  // Appends the ids of `text`: EncodeNormalized of Normalize. No added token comes out, whatever
  // the text. A byte for which the vocabulary has no token is left out, or becomes the unknown
  // token if there is one, as the `tokenizers` package does; see CanEncode.
  // O(n log n) in the longest word, O(n) in the text. Returns the number of heap operations, which
  // bounds the work and does not depend on the machine. text.size() <= kMaxTextBytes.
  uint64_t Encode(std::string_view text, std::vector<TokenId>& out) const {
    return EncodeNormalized(Normalize(text), /*at_start=*/true, out);
  }
  // A piece of text between special tokens, as the merges will see it.
  std::string Normalize(std::string_view text) const;
  // `at_start`: nothing stands in front of the piece.
  uint64_t EncodeNormalized(std::string_view text, bool at_start, std::vector<TokenId>& out) const;

  // Whether the vocabulary has a token for this byte alone. decode(encode(x)) == x for every x that
  // consists of such bytes, unless the family composes its text (NFC): then for every composed x.
  bool CanEncode(unsigned char byte) const { return byte_tokens_[byte] >= 0; }

  // The bytes that a token stands for; the name of a special one. `token` in [0, vocab_size()).
  std::string_view TokenBytes(TokenId token) const;
  int vocab_size() const { return static_cast<int>(bytes_.size()); }
  // One leading space of a decoded text is not the text's own.
  bool DecodeStripsSpace() const { return by_characters_ && space_.decode_strips; }

  static constexpr size_t kMaxTextBytes = size_t{1} << 29;

 private:
  BpeTokenizer() = default;

  void LoadByteLevel(const TokenizerData& data);
  void LoadByCharacters(const TokenizerData& data);
  void AddBytes(std::string_view word, std::vector<int32_t>& symbols) const;
  void AddCharacters(std::string_view word, std::vector<int32_t>& symbols) const;
  bool AddFallback(std::string_view character, std::vector<int32_t>& symbols) const;
  std::string Metaspace(std::string_view text, bool at_start) const;
  void SplitSpaces(std::string_view text, std::vector<std::string_view>& words) const;

  const PreTokenizer* pre_tokenizer_ = nullptr;  // of byte level
  bool by_characters_ = false;
  bool nfc_ = false;
  bool ignore_merges_ = false;
  bool fuse_unknown_ = false;
  int unknown_ = -1;
  SpaceRule space_;
  std::vector<std::string> bytes_;          // by id
  std::array<int32_t, 256> byte_tokens_{};  // -1: no such token
  // Normal tokens by their bytes: whole words of byte level (ignore_merges), else characters.
  absl::flat_hash_map<std::string, int32_t> token_of_;
  MergeTable merges_;
};

}  // namespace intactkv
