#include "engine/core/pin_store.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"
#include "engine/core/check_tokens.h"
#include "engine/core/prefix_builder.h"

namespace intactkv {

PinStore::PinStore(const EngineCoreOptions& options, FullPrecisionFactory factory, KvLedger* ledger)
    : options_(options),
      factory_(std::move(factory)),
      pool_(PageClass::kPinned, options.num_pinned_blocks,
            options.block_bytes[static_cast<size_t>(PageClass::kPinned)]) {
  pool_.SetLedger(ledger);
}

absl::Status PinStore::Validate(const PinRequest& request, int vocab_size) const {
  if (request.tokens.empty()) return InvalidArgument("a prefix needs at least one token");
  // A request that matches it whole still computes one token of its own.
  if (static_cast<int64_t>(request.tokens.size()) >= options_.max_model_len) {
    return InvalidArgument("a prefix of " + std::to_string(request.tokens.size()) +
                           " tokens leaves no room in a context of " +
                           std::to_string(options_.max_model_len));
  }
  return CheckTokens(request.tokens, vocab_size);
}

absl::StatusOr<PrefixInfo> PinStore::Pin(const PinRequest& request, const Executor& serving) {
  ASSIGN_OR_RETURN(BlockTable blocks, Build(request.tokens));
  std::vector<PageEntry> entries;
  for (const BlockRef& ref : blocks) entries.emplace_back(PageClass::kPinned, ref.id().value);
  PinnedPrefix prefix;
  prefix.id = PrefixId(next_id_++);
  prefix.name = request.name;
  prefix.owner = request.owner;
  prefix.tokens = request.tokens;
  prefix.blocks = std::move(blocks);
  prefix.checksum = serving.PageChecksum(entries);
  PrefixInfo info = InfoOf(prefix);
  pool_.Record({.event = LedgerEvent::kPin, .count = info.num_blocks, .subject = prefix.id.value});
  index_.Add(std::move(prefix));
  ++version_;
  return info;
}

absl::Status PinStore::Unpin(PrefixId id) {
  const auto it = index_.prefixes().find(id);
  if (it == index_.prefixes().end()) {
    return NotFound("there is no pinned prefix " + std::to_string(id.value));
  }
  RecordUnpin(it->second);
  CHECK(index_.Remove(id));
  ++version_;
  return absl::OkStatus();
}

void PinStore::Clear() {
  for (const auto& [id, prefix] : index_.prefixes()) RecordUnpin(prefix);
  index_.Clear();
  ++version_;
}

void PinStore::RecordUnpin(const PinnedPrefix& prefix) const {
  pool_.Record({.event = LedgerEvent::kUnpin,
                .count = static_cast<int32_t>(prefix.blocks.size()),
                .subject = prefix.id.value});
}

absl::StatusOr<BlockTable> PinStore::Build(const std::vector<TokenId>& tokens) {
  if (!factory_) return FailedPrecondition("there are no full-precision weights to build with");
  if (BlocksFor(static_cast<int64_t>(tokens.size())) > pool_.num_free()) {
    return ResourceExhausted("pin budget: the prefix needs " +
                             std::to_string(BlocksFor(static_cast<int64_t>(tokens.size()))) +
                             " blocks, free are " + std::to_string(pool_.num_free()));
  }
  if (!full_precision_) {
    ASSIGN_OR_RETURN(full_precision_, factory_());
  }
  return BuildPrefix(tokens, *full_precision_, pool_, options_.prefix_chunk_tokens);
}

absl::StatusOr<PinnedMatch> PinStore::Match(const std::vector<TokenId>& prompt,
                                            const std::string& tenant) {
  PinnedMatch match = index_.Match(prompt, tenant);
  if (match.num_tokens > 0) ++version_;
  if (!options_.recompute_prefix_for_test || match.num_tokens == 0) return match;
  full_precision_.reset();  // "its own" executor
  absl::StatusOr<BlockTable> own = Build({prompt.begin(), prompt.begin() + match.num_tokens});
  full_precision_.reset();
  if (!own.ok()) return own.status();
  match.blocks = std::move(*own);
  return match;
}

std::vector<PrefixInfo> PinStore::List() const {
  std::vector<PrefixInfo> infos;
  for (const auto& [id, prefix] : index_.prefixes()) infos.push_back(InfoOf(prefix));
  return infos;
}

PrefixInfo PinStore::InfoOf(const PinnedPrefix& prefix) const {
  PrefixInfo info;
  info.id = prefix.id;
  info.name = prefix.name;
  info.num_tokens = static_cast<int32_t>(prefix.tokens.size());
  info.num_blocks = static_cast<int32_t>(prefix.blocks.size());
  info.bytes = info.num_blocks * pool_.block_bytes();
  info.num_matches = prefix.num_matches;
  info.checksum = prefix.checksum;
  return info;
}

void PinStore::ClaimBlocks(OwnershipAudit& audit) const {
  for (const auto& [id, prefix] : index_.prefixes()) {
    audit.Claim(BlockOwner::kPin, prefix.blocks);
  }
}

}  // namespace intactkv
