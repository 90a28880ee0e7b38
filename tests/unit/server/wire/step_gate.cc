#include "tests/unit/server/wire/step_gate.h"

namespace intactkv::test {

void StepGate::CloseAfter(int64_t steps) {
  const std::lock_guard lock(mutex_);
  steps_left_ = steps;
}

void StepGate::Open() {
  const std::lock_guard lock(mutex_);
  steps_left_ = -1;
  changed_.notify_all();
}

void StepGate::AwaitHeld() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return held_; });
}

void StepGate::Pass() {
  std::unique_lock lock(mutex_);
  if (steps_left_ == 0) {
    held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return steps_left_ != 0; });
    held_ = false;
  }
  if (steps_left_ > 0) --steps_left_;
}

}  // namespace intactkv::test
