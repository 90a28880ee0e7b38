#include "engine/kvcache/ownership_audit.h"

namespace intactkv {

OwnershipAudit::OwnershipAudit(const BlockPool& pool)
    : pool_(pool), claims_(static_cast<size_t>(pool.num_blocks())) {}

void OwnershipAudit::Claim(BlockOwner owner, BlockId id) {
  if (id.value < 0 || id.value >= pool_.num_blocks()) {
    problems_.push_back("block " + std::to_string(id.value) + " does not exist");
    return;
  }
  ++claims_[static_cast<size_t>(id.value)][static_cast<size_t>(owner)];
}

void OwnershipAudit::Claim(BlockOwner owner, const BlockTable& table) {
  for (const BlockRef& ref : table) Claim(owner, ref.id());
}

BlockCensus OwnershipAudit::Finish() const {
  BlockCensus census;
  census.total = pool_.num_blocks();
  census.problems = problems_;
  const absl::Status lists = pool_.CheckInvariants();
  if (!lists.ok()) census.problems.emplace_back(lists.message().data(), lists.message().size());
  for (int32_t i = 0; i < census.total; ++i) {
    const auto& [pins, sequences, cache] = claims_[static_cast<size_t>(i)];
    const int32_t claimed = pins + sequences + cache;
    const int32_t held = pool_.ref_count(BlockId(i));
    if (claimed != held) {
      census.problems.push_back("block " + std::to_string(i) + " has " + std::to_string(held) +
                                " references, its owners' tables show " + std::to_string(claimed));
    }
    if (pins > 0) {
      ++census.pinned;
    } else if (sequences > 0) {
      ++census.owned;
    } else if (cache > 0) {
      ++census.cached;
    } else if (held == 0) {
      ++census.free;
    } else {
      ++census.unaccounted;
    }
  }
  return census;
}

}  // namespace intactkv
