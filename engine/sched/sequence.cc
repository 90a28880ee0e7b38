#include "engine/sched/sequence.h"

#include <algorithm>

#include "engine/base/page_entry.h"

namespace intactkv {

std::span<const TokenId> Sequence::known_tokens() const {
  if (tokens.empty()) return group->request.prompt;
  return tokens;
}

int32_t Sequence::num_generated() const {
  return num_tokens() - static_cast<int32_t>(group->request.prompt.size());
}

int32_t Sequence::num_to_score() const {
  if (!group->request.score_prompt || choice != 0) return 0;
  return static_cast<int32_t>(group->request.prompt.size()) - 1;
}

int32_t Sequence::NextRows(int32_t max_rows, int32_t max_scored) const {
  if (scores_pinned()) {
    const int32_t left = std::min(num_to_score(), num_pinned()) - num_scored;
    return std::min({left, max_rows, max_scored});
  }
  const int32_t rows = std::min(num_uncomputed(), max_rows);
  const int32_t end_scored = std::max(num_computed, num_scored) + max_scored;
  return end_scored < num_to_score() ? std::min(rows, end_scored - num_computed) : rows;
}

int32_t Sequence::PrivateBlocksFor(int32_t n) const { return BlocksFor(n - num_pinned()); }

int32_t Sequence::WorstCaseBlocks() const {
  const auto prompt = static_cast<int32_t>(group->request.prompt.size());
  const int32_t written =
      group->build_prefix ? prompt : prompt + std::max(group->request.max_new_tokens, 1) - 1;
  return PrivateBlocksFor(written);
}

}  // namespace intactkv
