// The pinned prefixes with the pool that holds them: builds, matches, lists and drops them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/api/engine.h"
#include "engine/core/engine_options.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/ownership_audit.h"
#include "engine/kvcache/prefix_index.h"

namespace intactkv {

// The full-precision executor exists from the first build on until ReleaseFullPrecision(). Engine
// thread only.
class PinStore {
 public:
  // `ledger` must outlive the store.
  PinStore(const EngineCoreOptions& options, FullPrecisionFactory factory, KvLedger* ledger);

  // kInvalidArgument: no tokens, an id outside [0, vocab_size), or longer than the context allows.
  absl::Status Validate(const PinRequest& request, int vocab_size) const;
  // Builds and pins. `serving` gives the checksum of the pages as it sees them. kResourceExhausted:
  // pin budget; kFailedPrecondition: no full-precision weights; else as BuildPrefix().
  absl::StatusOr<PrefixInfo> Pin(const PinRequest& request, const Executor& serving);
  absl::Status Unpin(PrefixId id);  // kNotFound
  void Clear();
  void ReleaseFullPrecision() { full_precision_.reset(); }

  // What a request uses. With recompute_prefix_for_test the blocks are its own; then as
  // BuildPrefix().
  absl::StatusOr<PinnedMatch> Match(const std::vector<TokenId>& prompt, const std::string& tenant);

  std::vector<PrefixInfo> List() const;
  // Changes whenever List() would: with each pin, unpin and match.
  uint64_t version() const { return version_; }
  int64_t full_precision_bytes() const {
    return full_precision_ ? full_precision_->weight_bytes() : 0;
  }
  const BlockPool& pool() const { return pool_; }
  int32_t num_pinned_blocks() const { return index_.num_blocks(); }
  void ClaimBlocks(OwnershipAudit& audit) const;

 private:
  absl::StatusOr<BlockTable> Build(const std::vector<TokenId>& tokens);
  PrefixInfo InfoOf(const PinnedPrefix& prefix) const;
  void RecordUnpin(const PinnedPrefix& prefix) const;

  const EngineCoreOptions options_;
  const FullPrecisionFactory factory_;
  BlockPool pool_;  // first of what holds blocks: destroyed last
  PrefixIndex index_;
  std::unique_ptr<Executor> full_precision_;
  uint64_t next_id_ = 1;
  uint64_t version_ = 0;
};

}  // namespace intactkv
