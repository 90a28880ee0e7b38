// The paths that a simulation must have taken often before its silence means anything.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace intactkv::sim {

enum class RarePath : uint8_t {
  kPreemption,
  kReservedAdmission,  // a sequence preempted twice came back with its worst case reserved
  kStall,              // a running sequence found no block and nobody to preempt
  kEviction,
  kHitOnNextVictim,     // a lookup took the block that the next eviction would have taken
  kHitBesideEviction,   // the same, and blocks were evicted in that very step
  kHitOnGenerated,      // a prompt that contains an earlier answer found its blocks
  kNameConflict,        // two different blocks under one (shortened) name
  kChoiceSharesBlocks,  // n > 1: a later choice was admitted with blocks of choice 0
  kPromotionAtEdge,     // a chunk ended with the last token of a page
  kPromotionInChunk,    // a page was filled inside a chunk
  kPinRemovedInUse,
  kPinRefusedFull,
  kEpochWithWorkInFlight,
  kEpochRematch,  // a waiting request was matched again
  kAbortQueued,
  kAbortWaiting,
  kAbortPrefilling,
  kAbortDecoding,
  kAbortPreempted,
  kAbortReserved,
  kAbortSibling,
  kAbortHalfDone,
  kAbortMidStep,
  kAbortInCallback,
  kAbortReplacing,
  kAbortFinished,
  kAbortScoring,
  kDeadlineWaiting,
  kDeadlineRunning,
  kSlowReader,
  kNonFinite,
  kStepFailed,
  kBuildFailed,
  kQueueFull,
  kNeverFits,
  kDrainCut,           // drained with a deadline that came first
  kScoresBelowC,       // a prompt's first scores were those of rows below c
  kScoringPreempted,   // a sequence was preempted with some of its scores and not all
  kScoringWaits,       // older prompts took all rows that may be scored
  kScoringSharesStep,  // two prompts were scored in one step
  kScoredHits,         // preempted with all its scores, it came back with cached blocks
  kNumRarePaths,
};
inline constexpr size_t kNumRarePaths = static_cast<size_t>(RarePath::kNumRarePaths);

// "abort_waiting" and so on.
const char* RarePathName(size_t path);

struct RarePathCounts {
  std::array<int64_t, kNumRarePaths> counts{};

  int64_t& operator[](RarePath path) { return counts[static_cast<size_t>(path)]; }
  void Add(const RarePathCounts& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  }
};

// Each path at least 100 times in 500 seeds. Names those that were not; empty if there is none.
std::string MissingPaths(const RarePathCounts& counts, uint64_t num_seeds);

}  // namespace intactkv::sim
