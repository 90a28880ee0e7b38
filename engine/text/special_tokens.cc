#include "engine/text/special_tokens.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace intactkv {

namespace {

// \w of the `regex` crate, but for a few letter-like symbols.
bool IsWordCharacter(uint32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c == 0x200C || c == 0x200D;
  }
}

// Where the last character of text[0..end) begins; end > 0.
size_t LastCharacter(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  return DecodeUtf8(text, begin).length == end - begin ? begin : end - 1;
}

bool StandsAlone(std::string_view text, size_t begin, size_t end) {
  const auto is_word = [&](size_t pos) {
    return IsWordCharacter(DecodeUtf8(text, pos).code_point);
  };
  return (begin == 0 || !is_word(LastCharacter(text, begin))) &&
         (end == text.size() || !is_word(end));
}

bool OneOrigin(const std::vector<bool>& from_template, size_t begin, size_t end) {
  const auto at = [&](size_t i) { return from_template.begin() + static_cast<std::ptrdiff_t>(i); };
  return std::find(at(begin), at(end), !from_template[begin]) == at(end);
}

}  // namespace

SpecialTokens::SpecialTokens(const TokenizerData& data, const Normalize& normalize) {
  absl::flat_hash_map<int32_t, AddedTokenRule> rules;
  for (const AddedTokenRule& rule : data.added) rules[rule.id] = rule;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const auto type = static_cast<TokenType>(data.token_types[i]);
    const bool control = type == TokenType::kControl || type == TokenType::kUnknown;
    is_control_.push_back(control);
    if (!control && type != TokenType::kUserDefined) continue;
    const auto id = static_cast<int32_t>(i);
    const auto rule = rules.find(id);
    Name name{.bytes = data.tokens[i],
              .rule = rule == rules.end() ? AddedTokenRule{.id = id} : rule->second,
              .is_control = control};
    if (name.rule.normalized && !control) {
      name.bytes = normalize(name.bytes);
      normalized_.Add(std::move(name));
    } else {
      raw_.Add(std::move(name));
    }
  }
  raw_.Sort();
  normalized_.Sort();
}

void SpecialTokens::Names::Add(Name name) {
  auto& bucket = by_first[static_cast<unsigned char>(name.bytes[0])];
  if (bucket.empty()) first_bytes.push_back(name.bytes[0]);
  bucket.push_back(std::move(name));
}

void SpecialTokens::Names::Sort() {
  for (auto& bucket : by_first) {
    // Of two tokens with one normalized name the first id wins.
    std::sort(bucket.begin(), bucket.end(), [](const Name& a, const Name& b) {
      return std::pair(b.bytes.size(), a.rule.id) < std::pair(a.bytes.size(), b.rule.id);
    });
  }
}

const SpecialTokens::Name* SpecialTokens::Names::At(std::string_view text, size_t pos) const {
  const auto& bucket = by_first[static_cast<unsigned char>(text[pos])];
  const auto it = std::find_if(bucket.begin(), bucket.end(), [&](const Name& name) {
    return text.compare(pos, name.bytes.size(), name.bytes) == 0;
  });
  return it == bucket.end() ? nullptr : &*it;
}

std::optional<SpecialTokens::Match> SpecialTokens::Place(std::string_view text, size_t from,
                                                         size_t pos, const Name& name) {
  size_t begin = pos, end = pos + name.bytes.size();
  if (name.rule.single_word && !StandsAlone(text, begin, end)) return std::nullopt;
  const auto is_space = [&](size_t at) {
    return unicode::IsSpace(DecodeUtf8(text, at).code_point);
  };
  while (name.rule.lstrip && begin > from && is_space(LastCharacter(text, begin))) {
    begin = std::max(from, LastCharacter(text, begin));
  }
  while (name.rule.rstrip && end < text.size() && is_space(end)) {
    end += DecodeUtf8(text, end).length;
  }
  return Match{.begin = begin, .length = end - begin, .token = TokenId(name.rule.id)};
}

std::optional<SpecialTokens::Match> SpecialTokens::Find(const MarkedText& text, size_t from) const {
  size_t pos = text.bytes.find_first_of(raw_.first_bytes, from);
  while (pos != std::string::npos) {
    size_t next = pos + 1;
    const Name* name = raw_.At(text.bytes, pos);
    if (name != nullptr && OneOrigin(text.from_template, pos, pos + name->bytes.size())) {
      next = pos + name->bytes.size();
      if (!name->is_control || text.from_template[pos]) {
        if (const auto match = Place(text.bytes, from, pos, *name)) return match;
      }
    }
    pos = text.bytes.find_first_of(raw_.first_bytes, next);
  }
  return std::nullopt;
}

std::optional<SpecialTokens::Match> SpecialTokens::FindNormalized(std::string_view text,
                                                                  size_t from) const {
  size_t pos = text.find_first_of(normalized_.first_bytes, from);
  while (pos != std::string_view::npos) {
    size_t next = pos + 1;
    if (const Name* name = normalized_.At(text, pos)) {
      next = pos + name->bytes.size();
      if (const auto match = Place(text, from, pos, *name)) return match;
    }
    pos = text.find_first_of(normalized_.first_bytes, next);
  }
  return std::nullopt;
}

}  // namespace intactkv
