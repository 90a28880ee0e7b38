// Byte-level BPE: text -> ids and ids -> bytes, without special tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/base/ids.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Immutable, Thread-safe.
// Source: Sennrich et al. 2016, arXiv:1508.07909; the byte alphabet and the pattern are GPT-2's;
// the order of merges is that of the `tokenizers` package (best rank first, then leftmost).
class BpeTokenizer {
 public:
  // Errors: those of ValidateTokenizerData.
  static absl::StatusOr<BpeTokenizer> Make(const TokenizerData& data);

  // Appends the ids of `text`. No special token comes out, whatever the text. A byte for which the
  // vocabulary has no token is left out, as the `tokenizers` package does; see CanEncode.
  // O(n log n) in the longest word, O(n) in the text. Returns the number of heap operations, which
  // bounds the work and does not depend on the machine. text.size() <= kMaxTextBytes.
  uint64_t Encode(std::string_view text, std::vector<TokenId>& out) const;

  // Whether the vocabulary has a token for this byte alone. decode(encode(x)) == x for every x that
  // consists of such bytes.
  bool CanEncode(unsigned char byte) const { return byte_tokens_[byte] >= 0; }

  // The bytes that a token stands for; the name of a special one. `token` in [0, vocab_size()).
  std::string_view TokenBytes(TokenId token) const;
  int vocab_size() const { return static_cast<int>(bytes_.size()); }

  static constexpr size_t kMaxTextBytes = size_t{1} << 30;

 private:
  struct Merge {
    int32_t rank;
    int32_t result;
  };
  struct Symbol;
  struct Candidate;
  class WordMerger;

  BpeTokenizer() = default;

  const PreTokenizer* pre_tokenizer_ = nullptr;
  std::vector<std::string> bytes_;               // by id
  std::array<int32_t, 256> byte_tokens_{};       // -1: no such token
  absl::flat_hash_map<uint64_t, Merge> merges_;  // left << 32 | right
};

}  // namespace intactkv
