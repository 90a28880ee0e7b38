// A string that remembers, byte by byte, whether it came from the template or from a request.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/unicode_classes.h"

namespace intactkv::jinja {

enum class Origin : char { kTemplate = 0, kRequest = 1 };

// UTF-8 bytes (not checked) with the origin of each. Thread-compatible.
class Text {
 public:
  Text() = default;
  Text(std::string_view bytes, Origin origin) { Append(bytes, origin); }

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  Origin origin(size_t pos) const { return static_cast<Origin>(origins_[pos]); }
  bool HasRequestBytes() const;

  void Append(std::string_view bytes, Origin origin);
  void Append(const Text& other);
  void Append(const Text& other, size_t begin, size_t length);
  Text Slice(size_t begin, size_t length) const;
  // Every byte counts as the request's from now on.
  void MarkRequest();

 private:
  std::string bytes_;
  std::string origins_;  // one Origin per byte
};

// Byte offsets of the characters of `bytes`, and bytes.size() at the end. A byte that continues
// nothing is a character of its own.
std::vector<size_t> CharacterOffsets(std::string_view bytes);

// As std::string_view::find, but linear whatever the strings are.
size_t FindBytes(std::string_view haystack, std::string_view needle, size_t pos = 0);

// Python's str methods of the same names. `characters` empty: white space.
Text Strip(const Text& text, std::string_view characters, bool left, bool right);
std::vector<Text> SplitSpace(const Text& text, int64_t max_splits);
std::vector<Text> Split(const Text& text, std::string_view separator, int64_t max_splits);
std::vector<Text> SplitLines(const Text& text);
// At most `count` replacements from the left; negative: all. `from` is not empty. If `from` is the
// request's, so is the whole result: where a request cuts, it composes.
Text Replace(const Text& text, const Text& from, const Text& to, int64_t count);

// kTitle is str.title(), kTitleWords Jinja's filter: only white space, - and opening brackets begin
// a word.
enum class Case { kUpper, kLower, kTitle, kTitleWords, kCapitalize };
// By the simple case mappings of Unicode (one character to one character), and U+00DF as Python has
// it.
Text ChangeCase(const Text& text, Case wanted);

}  // namespace intactkv::jinja
