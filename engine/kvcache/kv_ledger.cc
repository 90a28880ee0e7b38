#include "engine/kvcache/kv_ledger.h"

#include <algorithm>

#include "engine/base/check.h"

namespace intactkv {

const char* LedgerEventName(LedgerEvent event) {
  constexpr const char* kNames[kNumLedgerEvents] = {"allocate", "share",   "release", "free",
                                                    "admit",    "hit",     "publish", "evict",
                                                    "promote",  "preempt", "pin",     "unpin"};
  return kNames[static_cast<size_t>(event)];
}

std::string ToString(const LedgerRecord& record) {
  constexpr const char* kClasses[kNumPageClasses] = {"pinned", "stored", "hot"};
  std::string line = "step " + std::to_string(record.step) + ": " +
                     kClasses[static_cast<size_t>(record.page_class)];
  if (record.block >= 0) line += " block " + std::to_string(record.block);
  line += std::string(": ") + LedgerEventName(record.event);
  switch (record.event) {
    case LedgerEvent::kShare:
    case LedgerEvent::kRelease:
      return line + ", owners " + std::to_string(record.count);
    case LedgerEvent::kHit:
    case LedgerEvent::kPublish:
    case LedgerEvent::kPromote:
      return line + ", sequence " + std::to_string(record.subject);
    case LedgerEvent::kAdmit:
    case LedgerEvent::kPreempt:
      return line + " of sequence " + std::to_string(record.subject) + ", blocks " +
             std::to_string(record.count);
    case LedgerEvent::kPin:
    case LedgerEvent::kUnpin:
      return line + " of prefix " + std::to_string(record.subject) + ", blocks " +
             std::to_string(record.count);
    default:
      return line;
  }
}

KvLedger::KvLedger(size_t capacity) : ring_(capacity) { CHECK_GE(capacity, 1u); }

void KvLedger::Add(LedgerRecord record) {
  record.step = step_;
  ++totals_[static_cast<size_t>(record.event)][static_cast<size_t>(record.page_class)];
  ring_[static_cast<size_t>(num_records_) % ring_.size()] = record;
  ++num_records_;
}

int64_t KvLedger::first_kept() const {
  return std::max<int64_t>(0, num_records_ - static_cast<int64_t>(ring_.size()));
}

const LedgerRecord& KvLedger::at(int64_t number) const {
  CHECK(number >= first_kept() && number < num_records_) << "record " << number << " is not kept";
  return ring_[static_cast<size_t>(number) % ring_.size()];
}

}  // namespace intactkv
