#include "engine/text/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "engine/text/utf8.h"

namespace intactkv::jinja {

namespace {

bool IsSpaceAt(std::string_view bytes, size_t pos) {
  return unicode::IsPythonSpace(DecodeUtf8(bytes, pos).code_point);
}

bool InSet(std::string_view bytes, size_t begin, size_t length, std::string_view set) {
  if (set.empty()) return IsSpaceAt(bytes, begin);
  return set.find(bytes.substr(begin, length)) != std::string_view::npos;
}

bool IsCased(utf8proc_int32_t c) {
  return utf8proc_toupper(c) != c || utf8proc_tolower(c) != c || utf8proc_totitle(c) != c;
}

// Whether the character after `code_point` begins a word.
bool BeginsWord(uint32_t code_point, Case wanted) {
  if (wanted == Case::kTitle) return !IsCased(static_cast<utf8proc_int32_t>(code_point));
  if (wanted != Case::kTitleWords) return false;
  return unicode::IsPythonSpace(code_point) ||
         (code_point < 0x80 &&
          std::string_view("-({[<").find(static_cast<char>(code_point)) != std::string_view::npos);
}

// The one special casing that is common in text: the upper case of U+00DF is "SS", its title case
// "Ss".
constexpr uint32_t kSharpS = 0xDF;

std::string Mapped(uint32_t code_point, Case wanted, bool begins_word) {
  const auto c = static_cast<utf8proc_int32_t>(code_point);
  const bool upper = wanted == Case::kUpper || (wanted == Case::kTitleWords && begins_word);
  const bool lower = wanted == Case::kLower || !begins_word;
  if (code_point == kSharpS && (upper || !lower)) return upper ? "SS" : "Ss";
  std::string out;
  const utf8proc_int32_t mapped = upper   ? utf8proc_toupper(c)
                                  : lower ? utf8proc_tolower(c)
                                          : utf8proc_totitle(c);
  AppendUtf8(out, static_cast<uint32_t>(mapped));
  return out;
}

bool IsLineBreak(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

bool Text::HasRequestBytes() const {
  return origins_.find(static_cast<char>(Origin::kRequest)) != std::string::npos;
}

void Text::Append(std::string_view bytes, Origin origin) {
  bytes_.append(bytes);
  origins_.append(bytes.size(), static_cast<char>(origin));
}

void Text::Append(const Text& other) {
  bytes_.append(other.bytes_);
  origins_.append(other.origins_);
}

void Text::Append(const Text& other, size_t begin, size_t length) {
  bytes_.append(other.bytes_, begin, length);
  origins_.append(other.origins_, begin, length);
}

Text Text::Slice(size_t begin, size_t length) const {
  Text out;
  out.Append(*this, begin, length);
  return out;
}

void Text::MarkRequest() { origins_.assign(bytes_.size(), static_cast<char>(Origin::kRequest)); }

std::vector<size_t> CharacterOffsets(std::string_view bytes) {
  std::vector<size_t> offsets;
  for (size_t pos = 0; pos < bytes.size(); pos += DecodeUtf8(bytes, pos).length) {
    offsets.push_back(pos);
  }
  offsets.push_back(bytes.size());
  return offsets;
}

size_t FindBytes(std::string_view haystack, std::string_view needle, size_t pos) {
  if (pos > haystack.size()) return std::string_view::npos;
  if (needle.empty()) return pos;
  const std::string_view rest = haystack.substr(pos);
  const void* found = memmem(rest.data(), rest.size(), needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - haystack.data());
}

Text Strip(const Text& text, std::string_view characters, bool left, bool right) {
  const std::vector<size_t> at = CharacterOffsets(text.bytes());
  size_t first = 0, last = at.size() - 1;
  const auto strippable = [&](size_t i) {
    return InSet(text.bytes(), at[i], at[i + 1] - at[i], characters);
  };
  while (left && first < last && strippable(first)) ++first;
  while (right && first < last && strippable(last - 1)) --last;
  return text.Slice(at[first], at[last] - at[first]);
}

std::vector<Text> SplitSpace(const Text& text, int64_t max_splits) {
  const std::string_view bytes = text.bytes();
  std::vector<Text> parts;
  size_t pos = 0;
  const auto skip = [&](bool space) {
    while (pos < bytes.size() && IsSpaceAt(bytes, pos) == space)
      pos += DecodeUtf8(bytes, pos).length;
  };
  for (skip(true); pos < bytes.size(); skip(true)) {
    const size_t begin = pos;
    if (max_splits >= 0 && std::ssize(parts) >= max_splits) {
      parts.push_back(text.Slice(begin, bytes.size() - begin));
      break;
    }
    skip(false);
    parts.push_back(text.Slice(begin, pos - begin));
  }
  return parts;
}

std::vector<Text> Split(const Text& text, std::string_view separator, int64_t max_splits) {
  std::vector<Text> parts;
  size_t begin = 0;
  while (max_splits < 0 || std::ssize(parts) < max_splits) {
    const size_t end = FindBytes(text.bytes(), separator, begin);
    if (end == std::string_view::npos) break;
    parts.push_back(text.Slice(begin, end - begin));
    begin = end + separator.size();
  }
  parts.push_back(text.Slice(begin, text.size() - begin));
  return parts;
}

std::vector<Text> SplitLines(const Text& text) {
  std::vector<Text> lines;
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  for (size_t pos = 0; pos < bytes.size();) {
    const Utf8Char c = DecodeUtf8(bytes, pos);
    const size_t next = pos + (bytes.substr(pos, 2) == "\r\n" ? 2 : c.length);
    if (IsLineBreak(c.code_point)) {
      lines.push_back(text.Slice(begin, pos - begin));
      begin = next;
    }
    pos = next;
  }
  if (begin < bytes.size()) lines.push_back(text.Slice(begin, bytes.size() - begin));
  return lines;
}

Text Replace(const Text& text, const Text& from, const Text& to, int64_t count) {
  Text out;
  size_t begin = 0;
  while (count != 0) {
    const size_t end = FindBytes(text.bytes(), from.bytes(), begin);
    if (end == std::string_view::npos) break;
    out.Append(text, begin, end - begin);
    out.Append(to);
    begin = end + from.size();
    if (count > 0) --count;
  }
  out.Append(text, begin, text.size() - begin);
  if (from.HasRequestBytes()) out.MarkRequest();
  return out;
}

Text ChangeCase(const Text& text, Case wanted) {
  Text out;
  bool begins_word = true;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = DecodeUtf8(text.bytes(), pos);
    if (c.status == Utf8Status::kValid) {
      const std::string mapped = Mapped(c.code_point, wanted, begins_word);
      const Text source = text.Slice(pos, c.length);
      out.Append(mapped, source.HasRequestBytes() ? Origin::kRequest : Origin::kTemplate);
      begins_word = BeginsWord(c.code_point, wanted);
    } else {
      out.Append(text, pos, c.length);
    }
    pos += c.length;
  }
  return out;
}

}  // namespace intactkv::jinja
