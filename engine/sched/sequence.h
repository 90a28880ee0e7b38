// One choice of one request while it lives in the scheduler, and the request that its choices
// share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "engine/api/engine.h"
#include "engine/base/ids.h"
#include "engine/kvcache/kv_cache_manager.h"

namespace intactkv {

using RequestId = StrongId<struct RequestTag, uint64_t>;  // ascending in order of submission

struct RequestGroup;

// Tokens chase: num_computed runs after tokens.size(), in prefill, decode and recomputation alike.
// Positions are absolute; private ones start at c. Engine thread only.
struct Sequence {
  SequenceId id{0};
  RequestGroup* group = nullptr;
  int32_t choice = 0;
  // Prompt, then what was generated; only grows. Empty until the first admission: whoever waits for
  // it has the request's own prompt and no copy.
  std::vector<TokenId> tokens;
  int32_t num_computed = 0;  // tokens whose KV exists; starts at c, falls back to it on preemption
  int32_t num_scored = 0;  // score_prompt: leading rows of the prompt that were scored; only grows
  int32_t num_preemptions = 0;
  bool finished = false;
  SequenceKv kv;

  std::span<const TokenId> known_tokens() const;  // `tokens` as they are or will be
  int32_t num_tokens() const { return static_cast<int32_t>(known_tokens().size()); }
  int32_t num_uncomputed() const { return num_tokens() - num_computed; }
  int32_t num_pinned() const { return kv.pinned.num_tokens; }  // c
  int32_t num_generated() const;
  // Leading rows of the prompt to be scored, which is all but the last (it samples) for choice 0 of
  // a request with score_prompt, else 0.
  int32_t num_to_score() const;
  // Rows below c are computed first, for their logits only.
  bool scores_pinned() const { return num_scored < std::min(num_to_score(), num_pinned()); }
  // Rows to compute next: the unscored ones below c, if there are any, else tokens not computed.
  // At most `max_rows`, of which at most `max_scored` are scored. 0 if it must score and may not.
  int32_t NextRows(int32_t max_rows, int32_t max_scored) const;
  std::span<const TokenId> private_tokens() const {
    return known_tokens().subspan(static_cast<size_t>(num_pinned()));
  }
  // Blocks that hold the KV of the first `num_tokens` >= c tokens beside the pin.
  int32_t PrivateBlocksFor(int32_t num_tokens) const;
  // Blocks at the end of the longest possible life. The last token's KV is never written.
  int32_t WorstCaseBlocks() const;
};

// What a request did so far; final once it has left the scheduler.
struct RequestProgress {
  RequestUsage usage;
  int32_t num_preemptions = 0;                // over all choices
  FinishReason finish = FinishReason::kNone;  // choice 0's, kNone until it ended by itself
};

struct RequestGroup {
  RequestId id{0};
  GenerationRequest request;  // immutable
  // A prefix build: ends when all prompt tokens are computed, samples nothing, and stores its last
  // page although it is not full (decisions.md 3.5).
  bool build_prefix = false;
  bool admitted = false;  // some choice was; from then on c and the epoch are fixed
  int32_t num_unfinished = 0;
  RequestProgress progress;
  std::deque<Sequence> sequences;  // by choice; a deque, so that addresses are stable
};

}  // namespace intactkv
