// What the pinned prefixes must be and do, by the rules alone: who matches what, and how many
// blocks are free. No pool, no index.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/api/engine.h"

namespace intactkv::sim {

struct ModelMatch {
  uint64_t pin = 0;  // 0: none
  int32_t c = 0;
};

class PrefixModel {
 public:
  void Add(PrefixId id, const PinRequest& pin);
  void Remove(PrefixId id) { alive_.erase(id.value); }
  void Clear() { alive_.clear(); }
  bool Has(PrefixId id) const { return alive_.contains(id.value); }
  size_t size() const { return alive_.size(); }

  // The longest common start, the older pin on a tie, never the whole prompt.
  ModelMatch Match(const std::vector<TokenId>& prompt, const std::string& tenant) const;
  // Of a pin that was ever added.
  const std::vector<TokenId>& tokens(uint64_t pin) const { return all_.at(pin).tokens; }

  // Blocks that living pins hold, and those of dead pins that `users` still read.
  int32_t BlocksHeld(const std::vector<ModelMatch>& users) const;

 private:
  std::map<uint64_t, PinRequest> alive_, all_;
};

}  // namespace intactkv::sim
