#include "engine/core/clock.h"

#include "engine/base/check.h"
#include "engine/base/monotonic_time.h"

namespace intactkv {

absl::Time RealClock::Now() const { return MonotonicNow(); }

absl::Time ManualClock::Now() const {
  MutexLock lock(&mutex_);
  return now_;
}

void ManualClock::Advance(absl::Duration by) {
  CHECK(by >= absl::ZeroDuration());
  MutexLock lock(&mutex_);
  now_ += by;
}

}  // namespace intactkv
