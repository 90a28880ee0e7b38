#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

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
