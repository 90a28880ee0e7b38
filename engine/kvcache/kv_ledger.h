// What happened to KV blocks, in order: totals since start, and the last records in a ring. An
// audit prints them; the simulator replays them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/page_entry.h"

namespace intactkv {

enum class LedgerEvent : uint8_t {
  kAllocate,  // a free block got its first owner
  kShare,     // one more owner; count = owners now
  kRelease,   // one owner fewer; count = owners left, >= 1
  kFree,      // the last owner left
  kAdmit,     // subject = sequence; count = blocks it found in the prefix cache
  kHit,       // subject = sequence; it uses this cached block from now on
  kPublish,   // subject = sequence; its block entered the prefix cache
  kEvict,     // the block left the prefix cache to make room
  kPromote,   // subject = sequence; the block was filled and written in its stored form
  kPreempt,   // subject = sequence; count = blocks it gives up
  kPin,       // subject = prefix; count = blocks
  kUnpin,     // subject = prefix; count = blocks
};
inline constexpr int kNumLedgerEvents = 12;

const char* LedgerEventName(LedgerEvent event);

struct LedgerRecord {
  LedgerEvent event = LedgerEvent::kAllocate;
  PageClass page_class = PageClass::kStored;
  int32_t block = -1;  // -1: the event is not about one block
  int32_t count = 0;
  uint64_t subject = 0;
  int64_t step = 0;  // filled by the ledger
};

// "step 12: stored block 3: share, 2 owners" and the like: one line, no prompt text.
std::string ToString(const LedgerRecord& record);

// Allocates once. Engine thread only.
class KvLedger {
 public:
  explicit KvLedger(size_t capacity);

  void SetStep(int64_t step) { step_ = step; }
  void Add(LedgerRecord record);  // O(1)

  int64_t total(LedgerEvent event, PageClass page_class) const {
    return totals_[static_cast<size_t>(event)][static_cast<size_t>(page_class)];
  }
  // Records are numbered from 0 in order of time; kept are [first_kept(), num_records()).
  int64_t num_records() const { return num_records_; }
  int64_t first_kept() const;
  const LedgerRecord& at(int64_t number) const;  // CHECK: kept

 private:
  std::vector<LedgerRecord> ring_;
  std::array<std::array<int64_t, kNumPageClasses>, kNumLedgerEvents> totals_{};
  int64_t num_records_ = 0;
  int64_t step_ = 0;
};

}  // namespace intactkv
