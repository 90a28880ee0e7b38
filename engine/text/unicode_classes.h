// Character classes of the pre-tokenizers, equal to those of the `tokenizers` package: the regex
// classes come from its regex engine, IsDigit from its Digits splitter; their Unicode versions
// differ. Stateless.
// Source: unicode_tables.cc, made by tests/unit/engine/text/make_unicode_tables.py.
#pragma once

#include <cstdint>
#include <span>

namespace intactkv::unicode {

struct CodePointRange {
  uint32_t first, last;  // both inside
};

// Ascending, disjoint.
extern const std::span<const CodePointRange> kLetterRanges;  // \p{L}
extern const std::span<const CodePointRange> kNumberRanges;  // \p{N}
extern const std::span<const CodePointRange> kSpaceRanges;   // \s
extern const std::span<const CodePointRange> kDigitRanges;   // Digits(): Nd, Nl, No

// O(log n) beyond ASCII.
bool IsLetter(uint32_t code_point);
bool IsNumber(uint32_t code_point);
bool IsSpace(uint32_t code_point);
bool IsDigit(uint32_t code_point);

// Python's str.isspace(): IsSpace and U+001C to U+001F.
bool IsPythonSpace(uint32_t code_point);

}  // namespace intactkv::unicode
