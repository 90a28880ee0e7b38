// Time as an input: the engine asks a Clock, tests hold it still.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace intactkv {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// MonotonicNow(): near the wall clock, but never set back and never jumping. Deadlines that this
// clock shall judge must come from MonotonicNow() too.
class RealClock : public Clock {
 public:
  absl::Time Now() const override;
};

// Moves only when told to; starts at the epoch.
class ManualClock : public Clock {
 public:
  absl::Time Now() const override;
  void Advance(absl::Duration by);  // by >= 0

 private:
  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::UnixEpoch();
};

}  // namespace intactkv
