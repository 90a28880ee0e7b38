// Finds stop strings in text that arrives in pieces, and holds back what may begin one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace intactkv {

// One per choice. Thread-compatible. Holds at most (longest stop - 1) bytes. Cutting is safe for
// UTF-8: a stop string is valid UTF-8, so a match or a possible match begins at a character.
class StopMatcher {
 public:
  // `stops`: non-empty strings. `include`: the one that matched is shown.
  explicit StopMatcher(std::vector<std::string> stops, bool include = false)
      : stops_(std::move(stops)), include_(include) {}
  // Adds `text`; returns what can be shown now. After a match returns "" for ever: the stop string
  // (unless included) and everything after it are discarded. Several matches in one piece: the one
  // that begins first, of those the shortest.
  std::string Feed(std::string_view text);
  // The sequence ended otherwise: what was held back.
  std::string Flush();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  bool include_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace intactkv
