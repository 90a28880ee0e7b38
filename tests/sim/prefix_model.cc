#include "tests/sim/prefix_model.h"

#include <algorithm>

#include "engine/base/page_entry.h"

namespace intactkv::sim {

void PrefixModel::Add(PrefixId id, const PinRequest& pin) {
  alive_[id.value] = pin;
  all_[id.value] = pin;
}

ModelMatch PrefixModel::Match(const std::vector<TokenId>& prompt, const std::string& tenant) const {
  ModelMatch best;
  for (const auto& [id, pin] : alive_) {
    if (!pin.owner.empty() && pin.owner != tenant) continue;
    const auto end = std::ranges::mismatch(prompt, pin.tokens).in1;
    const auto common = static_cast<int32_t>(end - prompt.begin());
    if (common > best.c) best = {.pin = id, .c = common};
  }
  best.c = std::min(best.c, static_cast<int32_t>(prompt.size()) - 1);
  if (best.c == 0) best.pin = 0;
  return best;
}

int32_t PrefixModel::BlocksHeld(const std::vector<ModelMatch>& users) const {
  int32_t held = 0;
  for (const auto& [id, pin] : alive_) held += BlocksFor(static_cast<int64_t>(pin.tokens.size()));
  std::map<uint64_t, int32_t> of_dead;
  for (const ModelMatch& user : users) {
    if (user.pin == 0 || alive_.contains(user.pin)) continue;
    of_dead[user.pin] = std::max(of_dead[user.pin], BlocksFor(user.c));
  }
  for (const auto& [pin, blocks] : of_dead) held += blocks;
  return held;
}

}  // namespace intactkv::sim
