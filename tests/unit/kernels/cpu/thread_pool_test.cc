#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <vector>

namespace intactkv {
namespace {

// Many short runs of changing size, each over fresh local state that is gone right after.
TEST(ThreadPoolTest, EachItemRunsOnceAndBeforeRunReturns) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.num_threads(), threads);
    for (int run = 0; run < 3000; ++run) {
      const int items = run % 23;
      std::vector<int> counts(static_cast<size_t>(items));
      std::atomic<int> bad_workers{0};
      pool.Run(items, [&](int item, int worker) {
        ++counts[static_cast<size_t>(item)];  // a second visitor would be a data race
        if (worker < 0 || worker >= threads) ++bad_workers;
      });
      for (const int count : counts) ASSERT_EQ(count, 1) << run;
      ASSERT_EQ(bad_workers.load(), 0);
    }
  }
}

int NumCoresOfThisThread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  return CPU_COUNT(&set);
}

TEST(ThreadPoolTest, WorkersArePinnedOnlyIfAskedTo) {
  const int allowed = NumCoresOfThisThread();
  if (allowed < 2) GTEST_SKIP() << "one core: pinned or not is the same";
  for (const bool pin : {true, false}) {
    ThreadPool pool(2, pin);
    std::atomic<int> inside{0};
    int cores[2] = {};
    pool.Run(2, [&](int, int worker) {
      ++inside;
      while (inside.load() < 2) std::this_thread::yield();
      cores[worker] = NumCoresOfThisThread();
    });
    EXPECT_EQ(cores[0], allowed) << "the caller is left where it is";
    EXPECT_EQ(cores[1], pin ? 1 : allowed);
  }
}

TEST(ThreadPoolTest, WorkersComeInAndAreWaitedFor) {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  // Two items that need each other: only two threads at once can finish them.
  for (int run = 0; run < 50; ++run) {
    inside = 0;
    pool.Run(2, [&](int, int) {
      ++inside;
      while (inside.load() < 2) std::this_thread::yield();
    });
    EXPECT_EQ(inside.load(), 2);
  }
}

}  // namespace
}  // namespace intactkv
