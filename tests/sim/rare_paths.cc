#include "tests/sim/rare_paths.h"

namespace intactkv::sim {
namespace {

constexpr int64_t kOccurrences = 100;
constexpr int64_t kInSeeds = 500;

}  // namespace

const char* RarePathName(size_t path) {
  constexpr const char* kNames[] = {
      "preemption",
      "reserved_admission",
      "stall",
      "eviction",
      "hit_on_next_victim",
      "hit_beside_eviction",
      "hit_on_generated",
      "name_conflict",
      "choice_shares_blocks",
      "promotion_at_edge",
      "promotion_in_chunk",
      "pin_removed_in_use",
      "pin_refused_full",
      "epoch_with_work_in_flight",
      "epoch_rematch",
      "abort_queued",
      "abort_waiting",
      "abort_prefilling",
      "abort_decoding",
      "abort_preempted",
      "abort_reserved",
      "abort_sibling",
      "abort_half_done",
      "abort_mid_step",
      "abort_in_callback",
      "abort_replacing",
      "abort_finished",
      "abort_scoring",
      "deadline_waiting",
      "deadline_running",
      "slow_reader",
      "non_finite",
      "step_failed",
      "build_failed",
      "queue_full",
      "never_fits",
      "drain_cut",
      "scores_below_c",
      "scoring_preempted",
      "scoring_waits",
      "scoring_shares_step",
      "scored_hits",
  };
  static_assert(std::size(kNames) == kNumRarePaths);
  return kNames[path];
}

std::string MissingPaths(const RarePathCounts& counts, uint64_t num_seeds) {
  const int64_t wanted = kOccurrences * static_cast<int64_t>(num_seeds) / kInSeeds;
  std::string missing;
  for (size_t i = 0; i < counts.counts.size(); ++i) {
    if (counts.counts[i] >= wanted) continue;
    missing += std::string(RarePathName(i)) + ": " + std::to_string(counts.counts[i]) + " of " +
               std::to_string(wanted) + "\n";
  }
  return missing;
}

}  // namespace intactkv::sim
