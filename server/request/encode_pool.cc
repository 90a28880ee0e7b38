#include "server/request/encode_pool.h"

#include <utility>

#include "absl/time/time.h"

namespace intactkv {
namespace {

constexpr absl::Duration kIdleWait = absl::Milliseconds(200);  // work ends the wait at once

}  // namespace

EncodePool::EncodePool(int threads, size_t capacity) : queue_(capacity) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

EncodePool::~EncodePool() { Stop(); }

bool EncodePool::TryRun(std::function<void()> work) { return queue_.TryPush(std::move(work)); }

void EncodePool::Loop() {
  while (!stop_) {
    if (const auto work = queue_.TryPop()) {
      (*work)();
    } else {
      (void)queue_.WaitNonEmpty(kIdleWait);
    }
  }
}

void EncodePool::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  while (queue_.TryPop().has_value()) {
  }
}

bool RunTextWork(EncodePool* pool, const PostFn& post, TextWork work) {
  if (pool == nullptr) {
    work()();
    return true;
  }
  return pool->TryRun([post, work = std::move(work)] { post(work()); });
}

}  // namespace intactkv
