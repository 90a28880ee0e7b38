// Fixed pool of workers pinned to cores, for phases of tens of microseconds: spin first, sleep when
// idle.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace intactkv {

// Run() is for one caller at a time; the caller is worker 0. Which worker gets which item never
// changes a result: callers split work into items whose arithmetic does not depend on the split.
class ThreadPool {
 public:
  // num_threads >= 1, the caller included. With `pin` workers 1.. are pinned to distinct allowed
  // cores; the caller is left where it is.
  explicit ThreadPool(int num_threads, bool pin = true);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int num_threads() const { return num_threads_; }

  // Calls fn(item, worker) for each item in [0, num_items), dynamically spread; returns when all
  // are done. fn must not throw.
  template <typename Fn>
  void Run(int num_items, const Fn& fn) {
    RunErased(
        num_items,
        [](const void* f, int item, int worker) { (*static_cast<const Fn*>(f))(item, worker); },
        &fn);
  }

  // Sets the floating point state that every computing thread must have: FTZ and DAZ off, round to
  // nearest.
  static void SetFloatingPointState();

 private:
  using Erased = void (*)(const void*, int, int);
  void RunErased(int num_items, Erased fn, const void* context);
  void WorkerLoop(int worker, int core);
  void Enter(int worker);
  void Drain(int worker);

  const int num_threads_;
  Erased fn_ = nullptr;
  const void* context_ = nullptr;
  int num_items_ = 0;
  alignas(64) std::atomic<int> next_item_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};  // raised once per Run; workers sleep on it
  static constexpr uint32_t kOpen = 1u << 31;
  alignas(64) std::atomic<uint32_t> entries_{
      0};  // kOpen while a Run has items, plus workers inside
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

}  // namespace intactkv
