#include "engine/text/bpe_tokenizer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/text/utf8.h"

namespace intactkv {

namespace {

// GPT-2 writes each byte as one printable character: itself where it is printable, else U+0100
// upwards in the order of the bytes.
std::array<uint32_t, 256> ByteAlphabet() {
  std::array<uint32_t, 256> alphabet{};
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    alphabet[b] = printable ? b : next++;
  }
  return alphabet;
}

// The bytes that `token` spells in the byte alphabet; nullopt if it uses another character.
std::optional<std::string> SpelledBytes(const absl::flat_hash_map<uint32_t, char>& byte_of,
                                        std::string_view token) {
  std::string bytes;
  for (size_t pos = 0; pos < token.size();) {
    const Utf8Char c = DecodeUtf8(token, pos);
    const auto it = byte_of.find(c.code_point);
    if (c.status != Utf8Status::kValid || it == byte_of.end()) return std::nullopt;
    bytes.push_back(it->second);
    pos += c.length;
  }
  return bytes;
}

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

struct BpeTokenizer::Symbol {
  int32_t token;       // -1: merged into its left neighbour
  int32_t prev, next;  // -1: none
};

struct BpeTokenizer::Candidate {
  int32_t rank, pos, result;
  // std::push_heap keeps the greatest in front: the best rank, then the leftmost.
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return std::pair(a.rank, a.pos) > std::pair(b.rank, b.pos);
  }
};

// Merges one word at a time; keeps its buffers between words.
class BpeTokenizer::WordMerger {
 public:
  explicit WordMerger(const BpeTokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void Encode(std::string_view word, std::vector<TokenId>& out) {
    Load(word);
    for (int32_t i = 0; i + 1 < std::ssize(symbols_); ++i) Propose(i);
    while (!heap_.empty()) Step();
    for (int32_t i = symbols_.empty() ? -1 : 0; i >= 0; i = symbols_[Index(i)].next) {
      out.push_back(TokenId(symbols_[Index(i)].token));
    }
  }

  uint64_t operations() const { return operations_; }

 private:
  static size_t Index(int32_t i) { return static_cast<size_t>(i); }

  void Load(std::string_view word) {
    symbols_.clear();
    for (const char c : word) {
      const int32_t token = tokenizer_.byte_tokens_[static_cast<unsigned char>(c)];
      const auto i = static_cast<int32_t>(symbols_.size());
      if (token >= 0) symbols_.push_back({.token = token, .prev = i - 1, .next = i + 1});
    }
    if (!symbols_.empty()) symbols_.back().next = -1;
  }

  const Merge* MergeAt(int32_t pos) const {
    const Symbol& left = symbols_[Index(pos)];
    if (left.token < 0 || left.next < 0) return nullptr;
    const auto it = tokenizer_.merges_.find(PairKey(left.token, symbols_[Index(left.next)].token));
    return it == tokenizer_.merges_.end() ? nullptr : &it->second;
  }

  void Propose(int32_t pos) {
    if (const Merge* merge = MergeAt(pos); merge != nullptr) {
      heap_.push_back({.rank = merge->rank, .pos = pos, .result = merge->result});
      std::push_heap(heap_.begin(), heap_.end());
      ++operations_;
    }
  }

  void Step() {
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    ++operations_;
    const Merge* merge = MergeAt(best.pos);
    if (merge == nullptr || merge->result != best.result) return;  // overtaken by another merge
    Symbol& left = symbols_[Index(best.pos)];
    Symbol& right = symbols_[Index(left.next)];
    left.token = best.result;
    left.next = right.next;
    right.token = -1;
    if (left.next >= 0) symbols_[Index(left.next)].prev = best.pos;
    if (left.prev >= 0) Propose(left.prev);
    Propose(best.pos);
  }

  const BpeTokenizer& tokenizer_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  uint64_t operations_ = 0;
};

absl::StatusOr<BpeTokenizer> BpeTokenizer::Make(const TokenizerData& data) {
  RETURN_IF_ERROR(ValidateTokenizerData(data));
  BpeTokenizer tokenizer;
  ASSIGN_OR_RETURN(tokenizer.pre_tokenizer_, FindPreTokenizer(data.pre));
  const std::array<uint32_t, 256> alphabet = ByteAlphabet();
  absl::flat_hash_map<uint32_t, char> byte_of;
  for (size_t b = 0; b < 256; ++b) byte_of[alphabet[b]] = static_cast<char>(b);
  absl::flat_hash_map<std::string_view, int32_t> id_of;
  id_of.reserve(data.tokens.size());
  tokenizer.byte_tokens_.fill(-1);
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const bool spelled = data.token_types[i] == static_cast<int32_t>(TokenType::kNormal);
    id_of[data.tokens[i]] = id;
    std::string bytes =
        spelled ? SpelledBytes(byte_of, data.tokens[i]).value_or(data.tokens[i]) : data.tokens[i];
    tokenizer.bytes_.push_back(std::move(bytes));
  }
  for (size_t b = 0; b < 256; ++b) {
    std::string letter;
    AppendUtf8(letter, alphabet[b]);
    const auto it = id_of.find(letter);
    const bool found = it != id_of.end() && data.token_types[static_cast<size_t>(it->second)] ==
                                                static_cast<int32_t>(TokenType::kNormal);
    if (found) tokenizer.byte_tokens_[b] = it->second;
  }
  for (size_t rank = 0; rank < data.merges.size(); ++rank) {
    const std::string_view merge = data.merges[rank];
    const size_t space = merge.find(' ');
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    const std::string result = std::string(left) + std::string(right);
    tokenizer.merges_[PairKey(id_of.at(left), id_of.at(right))] = {
        .rank = static_cast<int32_t>(rank), .result = id_of.at(result)};
  }
  return tokenizer;
}

uint64_t BpeTokenizer::Encode(std::string_view text, std::vector<TokenId>& out) const {
  CHECK_LE(text.size(), kMaxTextBytes);
  std::vector<std::string_view> words;
  pre_tokenizer_->Split(text, words);
  WordMerger merger(*this);
  for (const std::string_view word : words) merger.Encode(word, out);
  return merger.operations();
}

std::string_view BpeTokenizer::TokenBytes(TokenId token) const {
  CHECK(token.value >= 0 && token.value < vocab_size()) << token.value;
  return bytes_[static_cast<size_t>(token.value)];
}

}  // namespace intactkv
