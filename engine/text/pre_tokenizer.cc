#include "engine/text/pre_tokenizer.h"

#include <string>

#include "engine/base/printable.h"
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

class Gpt2PreTokenizer : public PreTokenizer {
 public:
  void Split(std::string_view text, std::vector<std::string_view>& words) const override {
    SplitGpt2(text, words);
  }
};

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

// Length of (?i:'s|'t|'re|'ve|'m|'ll|'d) at `pos`, or 0. U+017F folds to "s".
size_t FoldedContractionLength(std::string_view text, size_t pos) {
  if (text[pos] != '\'') return 0;
  const std::string_view rest = text.substr(pos + 1);
  if (rest.starts_with("\u017f")) return 3;
  std::string folded(rest.substr(0, 2));
  for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  if (folded == "re" || folded == "ve" || folded == "ll") return 3;
  return !folded.empty() && std::string_view("stmd").find(folded[0]) != std::string_view::npos ? 2
                                                                                               : 0;
}

bool IsLineBreak(std::string_view text, size_t pos) {
  return pos < text.size() && (text[pos] == '\r' || text[pos] == '\n');
}

// End of \s*[\r\n]+ in the white space at `pos`: behind its last line break; `pos` if it has none.
size_t LineBreaksEnd(std::string_view text, size_t pos) {
  size_t end = pos;
  while (pos < text.size()) {
    const Utf8Char c = DecodeUtf8(text, pos);
    if (ClassOf(c.code_point) != CharClass::kSpace) break;
    pos += c.length;
    if (IsLineBreak(text, pos - c.length)) end = pos;
  }
  return end;
}

// The pattern of Llama-3 and, with one digit a word, of Qwen2:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
//   |\s*[\r\n]+|\s+(?!\S)|\s+
class Llama3PreTokenizer : public PreTokenizer {
 public:
  explicit Llama3PreTokenizer(int max_digits) : max_digits_(max_digits) {}

  void Split(std::string_view text, std::vector<std::string_view>& words) const override {
    for (size_t pos = 0; pos < text.size();) {
      const size_t end = WordEnd(text, pos);
      words.push_back(text.substr(pos, end - pos));
      pos = end;
    }
  }

 private:
  size_t WordEnd(std::string_view text, size_t pos) const {
    if (const size_t n = FoldedContractionLength(text, pos); n > 0) return pos + n;
    const CharClass first = ClassAt(text, pos);
    if (first == CharClass::kLetter) return RunEnd(text, pos, CharClass::kLetter);
    if (first == CharClass::kNumber) return NumberEnd(text, pos);
    const size_t next = pos + DecodeUtf8(text, pos).length;
    const bool has_next = next < text.size();
    if (has_next && !IsLineBreak(text, pos) && ClassAt(text, next) == CharClass::kLetter) {
      return RunEnd(text, next, CharClass::kLetter);
    }
    const bool space_symbol =
        text[pos] == ' ' && has_next && ClassAt(text, next) == CharClass::kSymbol;
    if (first == CharClass::kSymbol || space_symbol) {
      size_t end = RunEnd(text, space_symbol ? next : pos, CharClass::kSymbol);
      while (IsLineBreak(text, end)) ++end;
      return end;
    }
    const size_t end = LineBreaksEnd(text, pos);
    return end > pos ? end : SpacesEnd(text, pos);
  }

  size_t NumberEnd(std::string_view text, size_t pos) const {
    for (int i = 0; i < max_digits_ && pos < text.size(); ++i) {
      const Utf8Char c = DecodeUtf8(text, pos);
      if (ClassOf(c.code_point) != CharClass::kNumber) break;
      pos += c.length;
    }
    return pos;
  }

  const int max_digits_;
};

}  // namespace

absl::StatusOr<const PreTokenizer*> FindPreTokenizer(std::string_view name) {
  static const Gpt2PreTokenizer gpt2;
  static const SmolLmPreTokenizer smollm;
  static const Llama3PreTokenizer llama3(3), qwen2(1);
  if (name == "gpt-2") return &gpt2;
  if (name == "smollm") return &smollm;
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return &llama3;
  if (name == "qwen2") return &qwen2;
  return Unimplemented("tokenizer.ggml.pre \"" + Printable(name) +
                       "\": built in are \"gpt-2\", \"llama-bpe\", \"qwen2\" and \"smollm\"");
}

}  // namespace intactkv
