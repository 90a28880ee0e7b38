#include "engine/base/monotonic_time.h"

#include "absl/time/clock.h"

namespace intactkv {

absl::Time MonotonicNow() {
  static const TimeAnchor anchor{absl::Now(), std::chrono::steady_clock::now()};
  return anchor.At(std::chrono::steady_clock::now());
}

}  // namespace intactkv
