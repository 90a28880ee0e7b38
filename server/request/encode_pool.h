// The threads that turn text into tokens: a long prompt takes long, and must not hold up the I/O
// threads, on which everybody else's answers and the probes wait.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "engine/base/bounded_queue.h"
#include "server/request/post_fn.h"

namespace intactkv {

// Thread-safe but for Stop.
class EncodePool {
 public:
  // `capacity`: how much work may wait; more is refused.
  EncodePool(int threads, size_t capacity);
  ~EncodePool();  // Stop
  EncodePool(const EncodePool&) = delete;
  EncodePool& operator=(const EncodePool&) = delete;

  // False if too much waits already.
  [[nodiscard]] bool TryRun(std::function<void()> work);
  size_t num_waiting() const { return queue_.size(); }
  // Ends the work that has begun; what still waits is dropped. Idempotent. Call it when the wires
  // are closed: nobody waits for an answer then.
  void Stop();

 private:
  void Loop();

  BoundedQueue<std::function<void()>> queue_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// Work on a request's text. What it returns runs where the request lives.
using TextWork = std::function<std::function<void()>()>;

// `work` on the pool, then what it returned through `post`. Without a pool both happen at once, on
// this thread. False, and nothing happens, if the pool is full.
[[nodiscard]] bool RunTextWork(EncodePool* pool, const PostFn& post, TextWork work);

}  // namespace intactkv
