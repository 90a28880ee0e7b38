#include "engine/text/unicode_classes.h"

#include <algorithm>

namespace intactkv::unicode {

namespace {

bool Contains(std::span<const CodePointRange> ranges, uint32_t c) {
  const auto it = std::upper_bound(ranges.begin(), ranges.end(), c,
                                   [](uint32_t v, const CodePointRange& r) { return v < r.first; });
  return it != ranges.begin() && c <= std::prev(it)->last;
}

}  // namespace

bool IsLetter(uint32_t c) {
  if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
  return Contains(kLetterRanges, c);
}

bool IsNumber(uint32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return Contains(kNumberRanges, c);
}

bool IsSpace(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  return Contains(kSpaceRanges, c);
}

bool IsDigit(uint32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return Contains(kDigitRanges, c);
}

bool IsPythonSpace(uint32_t c) { return (c >= 0x1c && c <= 0x1f) || IsSpace(c); }

}  // namespace intactkv::unicode
