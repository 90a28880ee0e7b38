#include "engine/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "engine/base/bounded_queue.h"

namespace intactkv {
namespace {

TEST(MutexTest, OneThreadAtATime) {
  Mutex mutex;
  int64_t count = 0;  // not atomic
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 10'000; ++k) {
        MutexLock lock(&mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 40'000);
}

TEST(CondVarTest, DeadlinesInThePastAndTheFarFuture) {
  Mutex mutex;
  CondVar changed;
  bool there = false;
  {
    MutexLock lock(&mutex);
    EXPECT_FALSE(changed.WaitWithDeadline(&mutex, absl::InfinitePast()));
    EXPECT_FALSE(changed.WaitWithDeadline(&mutex, absl::Now()));
  }
  std::thread setter([&] {
    MutexLock lock(&mutex);
    there = true;
    changed.NotifyAll();
  });
  {
    MutexLock lock(&mutex);
    while (!there) EXPECT_TRUE(changed.WaitWithDeadline(&mutex, absl::InfiniteFuture()));
  }
  setter.join();
}

TEST(NotificationTest, WaitersSeeWhatWasWrittenBefore) {
  Notification done;
  int value = 0;
  EXPECT_FALSE(done.HasBeenNotified());
  std::thread writer([&] {
    value = 7;
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(value, 7);
  EXPECT_TRUE(done.HasBeenNotified());
  writer.join();
}

TEST(BoundedQueueTest, WaitsForAnItemOrTheTimeout) {
  BoundedQueue<int> queue(1);
  EXPECT_FALSE(queue.WaitNonEmpty(absl::ZeroDuration()));
  EXPECT_FALSE(queue.WaitNonEmpty(absl::Milliseconds(1)));
  std::thread producer([&] { EXPECT_TRUE(queue.TryPush(5)); });
  EXPECT_TRUE(queue.WaitNonEmpty(absl::InfiniteDuration()));
  EXPECT_EQ(queue.TryPop(), 5);
  producer.join();
}

}  // namespace
}  // namespace intactkv
