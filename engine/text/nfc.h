// Unicode normalization form C of text that need not be valid UTF-8. Stateless.
// Source: The Unicode Standard, annex 15; tables in nfc_tables.cc, made by
// tests/unit/engine/text/make_nfc_tables.py so that they know the characters that the NFC of the
// `tokenizers` package knows, and no newer ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace intactkv {

namespace unicode {

struct Singleton {
  uint32_t code_point, target;  // decomposes to one character; never composed
};
struct CanonicalPair {
  uint32_t code_point, first, second;
};
struct CombiningClassRange {
  uint32_t first, last;  // both inside
  uint32_t combining_class;
};

// Ascending by code point. Without Hangul syllables, which are computed.
extern const std::span<const Singleton> kSingletons;
extern const std::span<const CanonicalPair> kPairs;                   // decompose and compose
extern const std::span<const CanonicalPair> kDecomposedPairs;         // only decompose
extern const std::span<const CombiningClassRange> kCombiningClasses;  // those that are not 0

}  // namespace unicode

// A byte that is not UTF-8 stays as it is and separates what stands around it. O(text.size()) but
// for runs of combining marks, which are sorted.
std::string ToNfc(std::string_view text);

}  // namespace intactkv
