// Multi-producer, multi-consumer queue with a hard limit: a full queue refuses, it never grows and
// never blocks a producer.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace intactkv {

// Thread-safe.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // False if the queue is full; `value` is then untouched.
  [[nodiscard]] bool TryPush(T&& value) {
    MutexLock lock(&mutex_);
    if (items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    filled_.NotifyOne();
    return true;
  }

  std::optional<T> TryPop() {
    MutexLock lock(&mutex_);
    if (items_.empty()) return std::nullopt;
    std::optional<T> value(std::move(items_.front()));
    items_.pop_front();
    return value;
  }

  // Waits until an item is there or `timeout` has passed. True if there is one.
  bool WaitNonEmpty(absl::Duration timeout) const {
    const absl::Time deadline = absl::Now() + timeout;
    MutexLock lock(&mutex_);
    while (items_.empty()) {
      if (!filled_.WaitWithDeadline(&mutex_, deadline)) return false;
    }
    return true;
  }

  size_t size() const {
    MutexLock lock(&mutex_);
    return items_.size();
  }
  size_t capacity() const { return capacity_; }

 private:
  const size_t capacity_;
  mutable Mutex mutex_;
  mutable CondVar filled_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace intactkv
