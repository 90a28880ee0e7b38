// Who owns each block: the running counts, the audit that recomputes them, and what is told of it.
#include <algorithm>
#include <string>

#include "engine/base/json_log.h"
#include "engine/core/engine_core.h"

namespace intactkv {
namespace {

constexpr const char* kClassNames[kNumPageClasses] = {"pinned", "stored", "hot"};
constexpr int64_t kRecentRecords = 64;

}  // namespace

std::array<PageCounts, kNumPageClasses> EngineCore::CountPages() const {
  const auto count = [](const BlockPool& pool, int32_t cached, int32_t pinned) {
    PageCounts counts;
    counts.total = pool.num_blocks();
    counts.free = pool.num_free();
    counts.cached = cached;
    counts.pinned = pinned;
    counts.owned = counts.total - counts.free - cached - pinned;
    return counts;
  };
  return {count(pins_.pool(), 0, pins_.num_pinned_blocks()),
          count(stored_pool_, manager_.num_cached(), 0), count(hot_pool_, 0, 0)};
}

AuditReport EngineCore::AuditNow() const {
  OwnershipAudit pinned(pins_.pool());
  OwnershipAudit stored(stored_pool_);
  OwnershipAudit hot(hot_pool_);
  pins_.ClaimBlocks(pinned);
  scheduler_.ClaimBlocks({pinned, stored, hot});
  if (const PrefixCache* cache = manager_.prefix_cache()) {
    for (const BlockId id : cache->Blocks()) stored.Claim(BlockOwner::kCache, id);
  }
  const OwnershipAudit* audits[] = {&pinned, &stored, &hot};
  AuditReport report;
  for (size_t i = 0; i < kNumPageClasses; ++i) {
    const BlockCensus census = audits[i]->Finish();
    report.pages[i] = {.total = census.total,
                       .free = census.free,
                       .owned = census.owned,
                       .cached = census.cached,
                       .pinned = census.pinned};
    report.unaccounted[i] = census.unaccounted;
    for (const std::string& problem : census.problems) {
      report.problems.push_back(std::string(kClassNames[i]) + " " + problem);
    }
  }
  CheckLedger(report);
  const std::array<PageCounts, kNumPageClasses> counted = CountPages();
  for (size_t i = 0; i < kNumPageClasses; ++i) {
    const PageCounts& a = report.pages[i];
    const PageCounts& b = counted[i];
    if (a.free == b.free && a.owned == b.owned && a.cached == b.cached && a.pinned == b.pinned) {
      continue;
    }
    report.problems.push_back(std::string(kClassNames[i]) +
                              " counts differ from the running counts");
  }
  return report;
}

// What was handed out and not taken back is what is held.
void EngineCore::CheckLedger(AuditReport& report) const {
  const BlockPool* const pools[] = {&pins_.pool(), &stored_pool_, &hot_pool_};
  for (const BlockPool* pool : pools) {
    const int64_t held = ledger_.total(LedgerEvent::kAllocate, pool->page_class()) -
                         ledger_.total(LedgerEvent::kFree, pool->page_class());
    if (held == pool->num_blocks() - pool->num_free()) continue;
    report.problems.push_back(std::string(kClassNames[static_cast<size_t>(pool->page_class())]) +
                              " blocks held differ from the ledger: " + std::to_string(held));
  }
}

AuditReport EngineCore::AuditAndNote() {
  AuditReport report = AuditNow();
  stats_.unaccounted_pages = report.unaccounted;
  if (!report.problems.empty()) {
    LogLine("error", "kv_audit")
        .Add("problems", report.problems.size())
        .Add("first", report.problems.front());
  }
  return report;
}

AuditReport EngineCore::AuditWithLedger() {
  AuditReport report = AuditAndNote();
  for (int event = 0; event < kNumLedgerEvents; ++event) {
    int64_t total = 0;
    for (int cls = 0; cls < kNumPageClasses; ++cls) {
      total += ledger_.total(static_cast<LedgerEvent>(event), static_cast<PageClass>(cls));
    }
    report.ledger_totals.emplace_back(LedgerEventName(static_cast<LedgerEvent>(event)), total);
  }
  const int64_t end = ledger_.num_records();
  for (int64_t i = std::max(ledger_.first_kept(), end - kRecentRecords); i < end; ++i) {
    report.recent.push_back(ToString(ledger_.at(i)));
  }
  return report;
}

}  // namespace intactkv
