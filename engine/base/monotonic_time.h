// Points in time that clients' deadlines can be compared with and that no change of the wall clock
// moves.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace intactkv {

// Goes on from a moment of the wall clock by the steady clock alone. Plain value.
struct TimeAnchor {
  absl::Time wall;
  std::chrono::steady_clock::time_point steady;
  absl::Time At(std::chrono::steady_clock::time_point now) const {
    return wall + absl::FromChrono(now - steady);
  }
};

// The wall clock's time at this function's first call plus what has passed since: never goes back,
// and does not jump when somebody sets the clock. Every deadline of a request is made from it and
// compared with it. Thread-safe.
absl::Time MonotonicNow();

}  // namespace intactkv
