#include "engine/text/bpe_tokenizer.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/byte_token.h"
#include "engine/text/nfc.h"
#include "engine/text/utf8.h"

namespace intactkv {

namespace {

constexpr std::string_view kSpace = "\u2581";  // how SentencePiece spells U+0020

bool HasType(const TokenizerData& data, size_t id, TokenType type) {
  return data.token_types[id] == static_cast<int32_t>(type);
}

MergeTable::IdOf IdsByName(const TokenizerData& data) {
  MergeTable::IdOf id_of;
  id_of.reserve(data.tokens.size());
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    id_of[data.tokens[i]] = static_cast<int32_t>(i);
  }
  return id_of;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, begin)) {
    out.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  return out.append(text, begin);
}

}  // namespace

absl::StatusOr<BpeTokenizer> BpeTokenizer::Make(const TokenizerData& given) {
  RETURN_IF_ERROR(ValidateTokenizerData(given));
  const TokenizerData data = ResolveDefaults(given);
  BpeTokenizer tokenizer;
  tokenizer.by_characters_ = data.model == "llama";
  tokenizer.nfc_ = *data.nfc;
  tokenizer.ignore_merges_ = *data.ignore_merges;
  tokenizer.fuse_unknown_ = data.fuse_unknown;
  tokenizer.unknown_ = data.unk_id;
  tokenizer.space_ = *data.space;
  tokenizer.byte_tokens_.fill(-1);
  const MergeTable::IdOf id_of = IdsByName(data);
  if (tokenizer.by_characters_) {
    tokenizer.LoadByCharacters(data);
  } else {
    ASSIGN_OR_RETURN(tokenizer.pre_tokenizer_, FindPreTokenizer(data.pre));
    tokenizer.LoadByteLevel(data);
  }
  tokenizer.merges_ = data.merges.empty() && tokenizer.by_characters_
                          ? MergeTable::FromScores(data, id_of)
                          : MergeTable::FromList(data, id_of);
  return tokenizer;
}

void BpeTokenizer::LoadByteLevel(const TokenizerData& data) {
  const ByteAlphabet alphabet;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const bool normal = HasType(data, i, TokenType::kNormal);
    std::optional<std::string> spelled = normal ? alphabet.Spelled(data.tokens[i]) : std::nullopt;
    if (spelled.has_value()) {
      const auto id = static_cast<int32_t>(i);
      if (spelled->size() == 1) byte_tokens_[static_cast<unsigned char>((*spelled)[0])] = id;
      if (ignore_merges_) token_of_[*spelled] = id;
    }
    bytes_.push_back(std::move(spelled).value_or(data.tokens[i]));
  }
}

void BpeTokenizer::LoadByCharacters(const TokenizerData& data) {
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string& token = data.tokens[i];
    const auto id = static_cast<int32_t>(i);
    const auto byte = HasType(data, i, TokenType::kByte) ? ByteOfToken(token) : std::nullopt;
    if (byte.has_value()) {
      byte_tokens_[*byte] = id;
      bytes_.emplace_back(1, static_cast<char>(*byte));
      continue;
    }
    const bool normal = HasType(data, i, TokenType::kNormal);
    const bool one_character = DecodeUtf8(token, 0).length == token.size();
    if (normal && one_character) token_of_[token] = id;
    bytes_.push_back(normal ? ReplaceAll(token, kSpace, " ") : token);
  }
}

std::string BpeTokenizer::Normalize(std::string_view text) const {
  CHECK_LE(text.size(), kMaxTextBytes);
  if (!by_characters_) return nfc_ ? ToNfc(text) : std::string(text);
  if (space_.metaspace || text.empty()) return std::string(text);
  const bool prefix = space_.prefix != SpacePrefix::kNever;
  return (prefix ? std::string(kSpace) : std::string()) + ReplaceAll(text, " ", kSpace);
}

std::string BpeTokenizer::Metaspace(std::string_view text, bool at_start) const {
  std::string out = ReplaceAll(text, " ", kSpace);
  const bool wanted =
      space_.prefix == SpacePrefix::kAlways || (space_.prefix == SpacePrefix::kFirst && at_start);
  if (wanted && !out.empty() && !out.starts_with(kSpace)) out.insert(0, kSpace);
  return out;
}

// Each space begins a word.
void BpeTokenizer::SplitSpaces(std::string_view text, std::vector<std::string_view>& words) const {
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(kSpace, begin + 1), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
}

void BpeTokenizer::AddBytes(std::string_view word, std::vector<int32_t>& symbols) const {
  for (const char c : word) {
    const int32_t token = byte_tokens_[static_cast<unsigned char>(c)];
    if (token >= 0) symbols.push_back(token);
  }
}

// False if some byte has no token of its own.
bool BpeTokenizer::AddFallback(std::string_view character, std::vector<int32_t>& symbols) const {
  for (const char c : character) {
    if (!CanEncode(static_cast<unsigned char>(c))) return false;
  }
  AddBytes(character, symbols);
  return true;
}

void BpeTokenizer::AddCharacters(std::string_view word, std::vector<int32_t>& symbols) const {
  bool after_unknown = false;
  for (size_t pos = 0; pos < word.size();) {
    const std::string_view character = word.substr(pos, DecodeUtf8(word, pos).length);
    pos += character.size();
    const auto it = token_of_.find(ToAbsl(character));
    const bool known = it != token_of_.end();
    if (known) symbols.push_back(it->second);
    if (known || AddFallback(character, symbols)) {
      after_unknown = false;
      continue;
    }
    if (unknown_ >= 0 && !(after_unknown && fuse_unknown_)) symbols.push_back(unknown_);
    after_unknown = true;
  }
}

uint64_t BpeTokenizer::EncodeNormalized(std::string_view text, bool at_start,
                                        std::vector<TokenId>& out) const {
  std::string spaced;
  if (by_characters_ && space_.metaspace) {
    spaced = Metaspace(text, at_start);
    text = spaced;
  }
  std::vector<std::string_view> words;
  if (!by_characters_) {
    pre_tokenizer_->Split(text, words);
  } else if (space_.split) {
    SplitSpaces(text, words);
  } else {
    words.push_back(text);
  }
  WordMerger merger(merges_);
  for (const std::string_view word : words) {
    if (ignore_merges_) {
      if (const auto it = token_of_.find(ToAbsl(word)); it != token_of_.end()) {
        out.push_back(TokenId(it->second));
        continue;
      }
    }
    std::vector<int32_t>& symbols = merger.NewWord();
    by_characters_ ? AddCharacters(word, symbols) : AddBytes(word, symbols);
    merger.Merge(out);
  }
  return merger.operations();
}

std::string_view BpeTokenizer::TokenBytes(TokenId token) const {
  CHECK(token.value >= 0 && token.value < vocab_size()) << token.value;
  return bytes_[static_cast<size_t>(token.value)];
}

}  // namespace intactkv
