#include "engine/core/clock.h"

#include "absl/time/clock.h"
#include "engine/base/check.h"

namespace intactkv {

absl::Time RealClock::Now() const { return absl::Now(); }

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
