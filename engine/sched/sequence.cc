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

int32_t Sequence::PrivateBlocksFor(int32_t n) const { return BlocksFor(n - num_pinned()); }

int32_t Sequence::WorstCaseBlocks() const {
  const auto prompt = static_cast<int32_t>(group->request.prompt.size());
  const int32_t written =
      group->build_prefix ? prompt : prompt + std::max(group->request.max_new_tokens, 1) - 1;
  return PrivateBlocksFor(written);
}

}  // namespace intactkv
