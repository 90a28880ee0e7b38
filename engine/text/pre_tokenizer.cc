#include "engine/text/pre_tokenizer.h"

#include <string>

#include "engine/base/status_macros.h"
#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace intactkv {

namespace {

enum class CharClass { kLetter, kNumber, kSpace, kSymbol };

CharClass ClassOf(uint32_t c) {
  if (unicode::IsLetter(c)) return CharClass::kLetter;
  if (unicode::IsNumber(c)) return CharClass::kNumber;
  if (unicode::IsSpace(c)) return CharClass::kSpace;
  return CharClass::kSymbol;
}

CharClass ClassAt(std::string_view text, size_t pos) {
  return ClassOf(DecodeUtf8(text, pos).code_point);
}

// End of the run of characters of class `wanted` that starts at `pos`.
size_t RunEnd(std::string_view text, size_t pos, CharClass wanted) {
  while (pos < text.size()) {
    const Utf8Char c = DecodeUtf8(text, pos);
    if (ClassOf(c.code_point) != wanted) break;
    pos += c.length;
  }
  return pos;
}

// Length of 's 't 're 've 'm 'll 'd at `pos`, or 0.
size_t ContractionLength(std::string_view text, size_t pos) {
  if (text[pos] != '\'') return 0;
  for (const std::string_view tail : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    if (text.substr(pos + 1, tail.size()) == tail) return 1 + tail.size();
  }
  return 0;
}

// Length of \s+(?!\S)|\s+ at `pos`, where a space character stands: all but the last one of a run
// that something follows, because the last one belongs to the next word if it is U+0020.
size_t SpacesEnd(std::string_view text, size_t pos) {
  size_t last = pos, end = pos;
  while (end < text.size()) {
    const Utf8Char c = DecodeUtf8(text, end);
    if (ClassOf(c.code_point) != CharClass::kSpace) break;
    last = end;
    end += c.length;
  }
  return end == text.size() || last == pos ? end : last;
}

// End of the word at `pos` by GPT-2's pattern:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t Gpt2WordEnd(std::string_view text, size_t pos) {
  if (const size_t n = ContractionLength(text, pos); n > 0) return pos + n;
  size_t start = pos;
  if (text[pos] == ' ' && pos + 1 < text.size()) ++start;
  const CharClass first = ClassAt(text, start);
  if (first == CharClass::kSpace) return SpacesEnd(text, pos);
  return RunEnd(text, start, first);
}

void SplitGpt2(std::string_view text, std::vector<std::string_view>& words) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = Gpt2WordEnd(text, pos);
    words.push_back(text.substr(pos, end - pos));
    pos = end;
  }
}

// Sequence[Digits(individual_digits=true), ByteLevel(add_prefix_space=false, use_regex=true)]: each
// digit alone, GPT-2's pattern on what lies between, as if nothing else existed.
class SmolLmPreTokenizer : public PreTokenizer {
 public:
  void Split(std::string_view text, std::vector<std::string_view>& words) const override {
    size_t begin = 0;
    for (size_t pos = 0; pos < text.size();) {
      const Utf8Char c = DecodeUtf8(text, pos);
      if (unicode::IsDigit(c.code_point)) {
        SplitGpt2(text.substr(begin, pos - begin), words);
        begin = pos + c.length;
        SplitGpt2(text.substr(pos, c.length), words);
      }
      pos += c.length;
    }
    SplitGpt2(text.substr(begin), words);
  }
};

}  // namespace

absl::StatusOr<const PreTokenizer*> FindPreTokenizer(std::string_view name) {
  static const SmolLmPreTokenizer smollm;
  if (name == "smollm") return &smollm;
  return Unimplemented("tokenizer.ggml.pre \"" + std::string(name) +
                       "\": only \"smollm\" is built in");
}

}  // namespace intactkv
