#include "server/request/stop_matcher.h"

#include <algorithm>

namespace intactkv {

std::string StopMatcher::Feed(std::string_view text) {
  if (matched_) return "";
  held_ += text;
  size_t first = std::string::npos, length = 0;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos || at > first || (at == first && stop.size() >= length)) continue;
    first = at;
    length = stop.size();
  }
  if (first != std::string::npos) {
    matched_ = true;
    std::string shown = held_.substr(0, include_ ? first + length : first);
    held_.clear();
    return shown;
  }
  // The longest tail that is a proper beginning of some stop string stays.
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) {
        keep = n;
      }
    }
  }
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::Flush() {
  if (matched_) return "";
  std::string shown;
  shown.swap(held_);
  return shown;
}

}  // namespace intactkv
