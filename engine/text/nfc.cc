#include "engine/text/nfc.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/text/utf8.h"

namespace intactkv {

namespace {

using unicode::CanonicalPair;

constexpr uint32_t kNotUnicode = 0x110000;  // plus the byte
// The first byte of U+0300: text of smaller bytes alone is composed already.
constexpr unsigned char kFirstLead = 0xCC;

// Hangul syllables are arithmetic: leading consonant, vowel, optional trailing consonant.
constexpr uint32_t kSyllables = 0xAC00, kLeading = 0x1100, kVowels = 0x1161, kTrailing = 0x11A7;
constexpr uint32_t kNumLeading = 19, kNumVowels = 21, kNumTrailing = 28;
constexpr uint32_t kNumSyllables = kNumLeading * kNumVowels * kNumTrailing;

struct Mark {
  uint32_t code_point;
  uint32_t combining_class;
  size_t place;  // in its segment: marks of one class keep their order
};

template <typename Row>
const Row* FindRow(std::span<const Row> rows, uint32_t c) {
  const auto it = std::lower_bound(rows.begin(), rows.end(), c,
                                   [](const Row& row, uint32_t v) { return row.code_point < v; });
  return it != rows.end() && it->code_point == c ? &*it : nullptr;
}

uint32_t CombiningClass(uint32_t c) {
  if (c < 0x300) return 0;
  const auto rows = unicode::kCombiningClasses;
  const auto it = std::upper_bound(
      rows.begin(), rows.end(), c,
      [](uint32_t v, const unicode::CombiningClassRange& row) { return v < row.first; });
  if (it == rows.begin() || c > std::prev(it)->last) return 0;
  return std::prev(it)->combining_class;
}

uint64_t PairKey(uint32_t first, uint32_t second) { return uint64_t{first} << 32 | second; }

std::optional<uint32_t> ComposeHangul(uint32_t first, uint32_t second) {
  if (first - kLeading < kNumLeading && second - kVowels < kNumVowels) {
    return kSyllables + ((first - kLeading) * kNumVowels + second - kVowels) * kNumTrailing;
  }
  const uint32_t syllable = first - kSyllables;
  if (syllable < kNumSyllables && syllable % kNumTrailing == 0 && second > kTrailing &&
      second - kTrailing < kNumTrailing) {
    return first + second - kTrailing;
  }
  return std::nullopt;
}

std::optional<uint32_t> Compose(uint32_t first, uint32_t second) {
  static const auto& composed = *[] {
    auto* map = new absl::flat_hash_map<uint64_t, uint32_t>();
    for (const CanonicalPair& pair : unicode::kPairs) {
      (*map)[PairKey(pair.first, pair.second)] = pair.code_point;
    }
    return map;
  }();
  if (const auto hangul = ComposeHangul(first, second)) return hangul;
  const auto it = composed.find(PairKey(first, second));
  return it == composed.end() ? std::nullopt : std::optional(it->second);
}

// Whether some character in front of `c` may swallow it.
bool IsSecond(uint32_t c) {
  static const auto& seconds = *[] {
    auto* set = new absl::flat_hash_set<uint32_t>();
    for (const CanonicalPair& pair : unicode::kPairs) set->insert(pair.second);
    return set;
  }();
  return c - kVowels < kNumVowels || (c > kTrailing && c - kTrailing < kNumTrailing) ||
         seconds.contains(c);
}

// Composes text character by character; a segment ends where nothing reaches across.
class Composer {
 public:
  void Add(uint32_t c) {  // NOLINT(misc-no-recursion): canonical decompositions are 4 deep
    if (c - kSyllables < kNumSyllables) return AddSyllable(c - kSyllables);
    const CanonicalPair* pair = FindRow(unicode::kPairs, c);
    if (pair == nullptr) pair = FindRow(unicode::kDecomposedPairs, c);
    if (pair != nullptr) {
      Add(pair->first);
      Add(pair->second);
    } else if (const unicode::Singleton* row = FindRow(unicode::kSingletons, c)) {
      Add(row->target);
    } else {
      Append(c);
    }
  }

  std::string Finish() {
    Flush();
    return std::move(out_);
  }

 private:
  void AddSyllable(uint32_t index) {
    Append(kLeading + index / (kNumVowels * kNumTrailing));
    Append(kVowels + index / kNumTrailing % kNumVowels);
    if (index % kNumTrailing != 0) Append(kTrailing + index % kNumTrailing);
  }

  void Append(uint32_t c) {
    const uint32_t combining_class = CombiningClass(c);
    if (combining_class == 0 && !IsSecond(c)) Flush();
    segment_.push_back(
        {.code_point = c, .combining_class = combining_class, .place = segment_.size()});
  }

  void Sort() {
    for (auto begin = segment_.begin(); begin != segment_.end();) {
      const auto is_starter = [](const Mark& mark) { return mark.combining_class == 0; };
      begin = std::find_if_not(begin, segment_.end(), is_starter);
      const auto end = std::find_if(begin, segment_.end(), is_starter);
      std::sort(begin, end, [](const Mark& a, const Mark& b) {
        return std::pair(a.combining_class, a.place) < std::pair(b.combining_class, b.place);
      });
      begin = end;
    }
  }

  // A character joins the last starter unless one of its own class or a starter stands between.
  void Flush() {
    Sort();
    std::vector<Mark> done;
    Mark* starter = nullptr;
    done.reserve(segment_.size());  // `starter` points into it
    for (const Mark& mark : segment_) {
      if (starter != nullptr) {
        const bool adjacent = &done.back() == starter;
        const bool blocked = !adjacent && done.back().combining_class >= mark.combining_class;
        const auto composed = Compose(starter->code_point, mark.code_point);
        if (!blocked && composed.has_value()) {
          starter->code_point = *composed;
          continue;
        }
      }
      done.push_back(mark);
      if (mark.combining_class == 0) starter = &done.back();
    }
    for (const Mark& mark : done) Write(mark.code_point);
    segment_.clear();
  }

  void Write(uint32_t c) {
    if (c >= kNotUnicode) {
      out_.push_back(static_cast<char>(c - kNotUnicode));
    } else {
      AppendUtf8(out_, c);
    }
  }

  std::vector<Mark> segment_;
  std::string out_;
};

}  // namespace

std::string ToNfc(std::string_view text) {
  const bool composed = std::none_of(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= kFirstLead; });
  if (composed) return std::string(text);
  Composer composer;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = DecodeUtf8(text, pos);
    if (c.status == Utf8Status::kValid) {
      composer.Add(c.code_point);
    } else {
      for (size_t i = 0; i < c.length; ++i) {
        composer.Add(kNotUnicode + static_cast<unsigned char>(text[pos + i]));
      }
    }
    pos += c.length;
  }
  return composer.Finish();
}

}  // namespace intactkv
