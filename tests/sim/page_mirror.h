// Follows the ledger: counts each block's owners anew, poisons what is handed out and what is
// freed, and knows whose contents a cached block holds.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/engine_core.h"
#include "tests/sim/findings.h"
#include "tests/sim/rare_paths.h"
#include "tests/support/hash_executor.h"

namespace intactkv::sim {

struct MirrorPages {
  std::shared_ptr<HashPages> pinned, stored;
  HashPages* hot = nullptr;
};

class PageMirror {
 public:
  // Says who may share blocks with a sequence: equal strings may. The string holds tenant, salt,
  // epoch and pinned match.
  using ShareKey = std::function<std::string(uint64_t sequence)>;

  PageMirror(const EngineCoreOptions& options, ShareKey share_key, Findings& findings);

  // Applies what is new in the ledger. Before each Execute() and after each step.
  void CatchUp(const EngineCore& engine, const MirrorPages& pages, RarePathCounts& counts);
  // Owners counted here against the pool's; between steps.
  void Compare(const EngineCore& engine);
  // The block that the next eviction would take; read before a step, judged by CatchUp.
  void NoteNextVictim(std::optional<BlockId> victim) { next_victim_ = victim; }

 private:
  void Apply(const LedgerRecord& record, const MirrorPages& pages, RarePathCounts& counts);
  void ApplyCache(const LedgerRecord& record, RarePathCounts& counts);
  void CheckEviction(const LedgerRecord& record);

  const ShareKey share_key_;
  Findings& findings_;
  std::array<std::vector<int32_t>, kNumPageClasses> owners_;
  std::vector<std::string> contents_of_;  // [stored]: share key of the publisher
  std::vector<bool> written_;             // [stored]: promoted since it was handed out
  int64_t next_record_ = 0;
  std::optional<BlockId> next_victim_;
  bool victim_was_hit_ = false;
  int32_t num_free_stored_;
  bool evicting_ = false;  // until the last free block is handed out
};

}  // namespace intactkv::sim
