#include "tests/sim/page_mirror.h"

#include <utility>

namespace intactkv::sim {
namespace {

HashPages* PagesOf(const MirrorPages& pages, PageClass page_class) {
  switch (page_class) {
    case PageClass::kPinned:
      return pages.pinned.get();
    case PageClass::kStored:
      return pages.stored.get();
    case PageClass::kHot:
      return pages.hot;
  }
  return nullptr;
}

}  // namespace

PageMirror::PageMirror(const EngineCoreOptions& options, ShareKey share_key, Findings& findings)
    : share_key_(std::move(share_key)),
      findings_(findings),
      owners_{std::vector<int32_t>(static_cast<size_t>(options.num_pinned_blocks)),
              std::vector<int32_t>(static_cast<size_t>(options.num_stored_blocks)),
              std::vector<int32_t>(static_cast<size_t>(options.max_running))},
      contents_of_(static_cast<size_t>(options.num_stored_blocks)),
      written_(static_cast<size_t>(options.num_stored_blocks)),
      num_free_stored_(options.num_stored_blocks) {}

void PageMirror::CatchUp(const EngineCore& engine, const MirrorPages& pages,
                         RarePathCounts& counts) {
  const KvLedger& ledger = engine.ledger();
  if (ledger.first_kept() > next_record_) return findings_.Add("the ledger ran over");
  victim_was_hit_ = false;
  for (; next_record_ < ledger.num_records(); ++next_record_) {
    Apply(ledger.at(next_record_), pages, counts);
  }
}

void PageMirror::Apply(const LedgerRecord& record, const MirrorPages& pages,
                       RarePathCounts& counts) {
  auto& owners = owners_[static_cast<size_t>(record.page_class)];
  int32_t none = 0;
  int32_t& count = record.block < 0 ? none : owners[static_cast<size_t>(record.block)];
  HashPages* poisoned = PagesOf(pages, record.page_class);
  if (record.page_class == PageClass::kStored) CheckEviction(record);
  switch (record.event) {
    case LedgerEvent::kAllocate:
      if (count++ != 0) findings_.Add("allocated while in use: " + ToString(record));
      if (poisoned != nullptr) poisoned->Poison(record.block);
      break;
    case LedgerEvent::kShare:
      if (count++ < 1) findings_.Add("shared while free: " + ToString(record));
      break;
    case LedgerEvent::kRelease:
      if (--count < 1) findings_.Add("released too often: " + ToString(record));
      break;
    case LedgerEvent::kFree:
      if (--count != 0) findings_.Add("freed while in use: " + ToString(record));
      if (poisoned != nullptr) poisoned->Poison(record.block);
      break;
    default:
      ApplyCache(record, counts);
  }
}

// Blocks leave the cache for want of free ones, and no more of them than are taken at once.
void PageMirror::CheckEviction(const LedgerRecord& record) {
  switch (record.event) {
    case LedgerEvent::kEvict:
      evicting_ = true;
      return;
    case LedgerEvent::kFree:
      ++num_free_stored_;
      return;
    case LedgerEvent::kAllocate:
      written_[static_cast<size_t>(record.block)] = false;
      --num_free_stored_;
      if (num_free_stored_ == 0) evicting_ = false;
      return;
    default:
      if (std::exchange(evicting_, false))
        findings_.Add("evicted for nothing: " + ToString(record));
  }
}

void PageMirror::ApplyCache(const LedgerRecord& record, RarePathCounts& counts) {
  const auto block = static_cast<size_t>(record.block);
  switch (record.event) {
    case LedgerEvent::kHit:
      if (contents_of_[block] != share_key_(record.subject)) {
        findings_.Add("a hit on a block of another tenant, salt, epoch or pin: " +
                      ToString(record));
      }
      if (next_victim_ == BlockId(record.block)) {
        victim_was_hit_ = true;
        ++counts[RarePath::kHitOnNextVictim];
      }
      break;
    case LedgerEvent::kPromote:
      if (record.page_class != PageClass::kStored) break;
      if (written_[block]) findings_.Add("written a second time: " + ToString(record));
      written_[block] = true;
      break;
    case LedgerEvent::kPublish:
      if (!written_[block]) findings_.Add("published before it was written: " + ToString(record));
      contents_of_[block] = share_key_(record.subject);
      break;
    case LedgerEvent::kEvict:
      ++counts[RarePath::kEviction];
      counts[RarePath::kHitBesideEviction] += std::exchange(victim_was_hit_, false) ? 1 : 0;
      break;
    case LedgerEvent::kPreempt:
      ++counts[RarePath::kPreemption];
      break;
    default:
      break;
  }
}

void PageMirror::Compare(const EngineCore& engine) {
  const auto compare = [this](const BlockPool& pool) {
    const auto& owners = owners_[static_cast<size_t>(pool.page_class())];
    for (int32_t i = 0; i < pool.num_blocks(); ++i) {
      if (owners[static_cast<size_t>(i)] == pool.ref_count(BlockId(i))) continue;
      findings_.Add("class " + std::to_string(static_cast<int>(pool.page_class())) + " block " +
                    std::to_string(i) + " has " + std::to_string(pool.ref_count(BlockId(i))) +
                    " owners; the ledger says " + std::to_string(owners[static_cast<size_t>(i)]));
    }
  };
  compare(engine.scheduler().manager().stored_pool());
  compare(engine.scheduler().manager().hot_pool());
}

}  // namespace intactkv::sim
