// What a page-table entry is: class and slot of one 32-token KV page, shared by all layers.
// The engine says "block" (ownership), the kernels say "page" (bytes); both count in kPageTokens.
#pragma once

#include <cstdint>

#include "engine/base/check.h"

namespace intactkv {

inline constexpr int kPageTokens = 32;

// Which pool a page lives in. The format of its bytes is a question for PageLayout alone.
enum class PageClass : uint8_t { kPinned = 0, kStored = 1, kHot = 2 };
inline constexpr int kNumPageClasses = 3;

// class << 28 | slot; slot in [0, 2^28).
class PageEntry {
 public:
  PageEntry() = default;
  PageEntry(PageClass cls, int32_t slot)
      : bits_(static_cast<uint32_t>(cls) << 28 | static_cast<uint32_t>(slot)) {
    DCHECK(slot >= 0 && slot < (1 << 28));
  }
  PageClass page_class() const { return static_cast<PageClass>(bits_ >> 28); }
  int32_t slot() const { return static_cast<int32_t>(bits_ & 0x0fffffffu); }
  uint32_t bits() const { return bits_; }
  friend bool operator==(PageEntry, PageEntry) = default;

 private:
  uint32_t bits_ = 0;
};

// Number of pages (blocks) that `num_tokens` >= 0 tokens occupy; the only place where counts of
// tokens meet counts of blocks.
constexpr int BlocksFor(int64_t num_tokens) {
  return static_cast<int>((num_tokens + kPageTokens - 1) / kPageTokens);
}

}  // namespace intactkv
