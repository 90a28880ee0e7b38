#include "kernels/cpu/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/base/check.h"

namespace intactkv {
namespace {

// About 50 us of spinning on current cores: longer than the gap between two phases of a step, short
// against idling.
constexpr int kSpins = 4000;

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

std::vector<int> AllowedCores() {
  std::vector<int> cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
  }
  return cores;
}

}  // namespace

void ThreadPool::SetFloatingPointState() {
#if defined(__x86_64__)
  _mm_setcsr(0x1f80);  // all exceptions masked, round to nearest, FTZ and DAZ off
#endif
}

ThreadPool::ThreadPool(int num_threads, bool pin) : num_threads_(num_threads) {
  CHECK_GE(num_threads, 1);
  const std::vector<int> cores = pin ? AllowedCores() : std::vector<int>();
  for (int worker = 1; worker < num_threads; ++worker) {
    const int core =
        static_cast<size_t>(worker) < cores.size() ? cores[static_cast<size_t>(worker)] : -1;
    threads_.emplace_back([this, worker, core] { WorkerLoop(worker, core); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Drain(int worker) {
  for (;;) {
    const int item = next_item_.fetch_add(1, std::memory_order_relaxed);
    if (item >= num_items_) return;
    fn_(context_, item, worker);
  }
}

void ThreadPool::RunErased(int num_items, Erased fn, const void* context) {
  SetFloatingPointState();
  if (num_items <= 0) return;
  if (num_threads_ == 1 || num_items == 1) {
    for (int item = 0; item < num_items; ++item) fn(context, item, 0);
    return;
  }
  fn_ = fn;
  context_ = context;
  num_items_ = num_items;
  next_item_.store(0, std::memory_order_relaxed);
  entries_.fetch_or(kOpen, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  Drain(0);
  // Every item is claimed: who is not in yet has nothing to do here and is not waited for (its core
  // may be another program's for milliseconds).
  entries_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spin = 0; entries_.load(std::memory_order_acquire) != 0; ++spin) {
    if (spin < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::Enter(int worker) {
  // Late for its own Run, a worker may find the next one open: it helps there.
  if ((entries_.fetch_add(1, std::memory_order_acquire) & kOpen) != 0) Drain(worker);
  entries_.fetch_sub(1, std::memory_order_release);
}

void ThreadPool::WorkerLoop(int worker, int core) {
  if (core >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set),
                           &set);  // best effort: a refusal costs speed only
  }
  SetFloatingPointState();
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = epoch_.load(std::memory_order_acquire);
    for (int spin = 0; now == seen && spin < kSpins; ++spin) {
      Pause();
      now = epoch_.load(std::memory_order_acquire);
    }
    if (now == seen) {
      epoch_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = now;
    if (stop_.load()) return;
    Enter(worker);
  }
}

}  // namespace intactkv
