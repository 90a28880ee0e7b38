// Mutex, CondVar and Notification over the standard library's, with Abseil's lock annotations.
//
// Why not Abseil's own: ThreadSanitizer must see every lock, and the distributions build Abseil
// without its hooks, so that each absl::Mutex would look like a race.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace intactkv {

// Thread-safe. Not recursive.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Thread-safe. Both waits may return early: call them in a loop over the condition.
class CondVar {
 public:
  void NotifyOne() { cond_.notify_one(); }
  void NotifyAll() { cond_.notify_all(); }

  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    cond_.wait(lock);
    lock.release();  // the caller's
  }

  // False once `deadline` has passed.
  bool WaitWithDeadline(Mutex* mutex, absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    // In slices, so that an infinite deadline cannot overflow a clock's count.
    const absl::Duration left = std::min(deadline - absl::Now(), absl::Hours(1));
    if (left <= absl::ZeroDuration()) return false;
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    cond_.wait_for(lock, absl::ToChronoNanoseconds(left));
    lock.release();
    return true;
  }

 private:
  std::condition_variable cond_;
};

// Happens once. Thread-safe.
class Notification {
 public:
  void Notify() {
    MutexLock lock(&mutex_);
    notified_ = true;
    // Under the lock: a waiter may destroy this as soon as it can have the lock.
    cond_.NotifyAll();
  }
  bool HasBeenNotified() const {
    MutexLock lock(&mutex_);
    return notified_;
  }
  void WaitForNotification() const {
    MutexLock lock(&mutex_);
    while (!notified_) cond_.Wait(&mutex_);
  }

 private:
  mutable Mutex mutex_;
  mutable CondVar cond_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace intactkv
