#include "server/main/machine.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

namespace intactkv {
namespace {

TEST(MachineTest, CoresFollowTheAffinityMask) {
  const int all = NumAllowedCores();
  EXPECT_GE(all, 1);
  EXPECT_LE(all, get_nprocs_conf());
  int bound = 0;
  std::thread([&bound] {  // the mask is the thread's own
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    int first = 0;
    while (!CPU_ISSET(first, &set)) ++first;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
    bound = NumAllowedCores();
  })
      .join();
  EXPECT_EQ(bound, 1);
  EXPECT_EQ(NumAllowedCores(), all);
}

TEST(MachineTest, AvailableMemoryIsKnownAndNotMoreThanThereIs) {
  struct sysinfo info = {};
  ASSERT_EQ(sysinfo(&info), 0);
  const int64_t available = AvailableMemoryBytes();
  EXPECT_GT(available, 0);
  EXPECT_LE(available, static_cast<int64_t>(info.totalram) * info.mem_unit);
}

TEST(MachineTest, ResidentBytesGrowWithMemoryThatIsTouched) {
  constexpr size_t kBytes = size_t{64} << 20;
  const int64_t before = ResidentBytes();
  EXPECT_GT(before, 0);
  const std::unique_ptr<char[]> block(new char[kBytes]);
  std::memset(block.get(), 1, kBytes);
  const int64_t grown = ResidentBytes() - before;
  EXPECT_GE(grown, static_cast<int64_t>(kBytes * 9 / 10));
  EXPECT_LE(grown, static_cast<int64_t>(kBytes * 2)) << "bytes, not kibibytes";
  EXPECT_EQ(block[kBytes - 1], 1);
}

// Sets or unsets an environment variable, and puts it back.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    Set(value);
  }
  ~ScopedVariable() { Set(old_ ? old_->c_str() : nullptr); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  void Set(const char* value) {
    if (value == nullptr) {
      unsetenv(name_);
    } else {
      setenv(name_, value, 1);
    }
  }
  const char* name_;
  std::optional<std::string> old_;
};

TEST(MachineTest, TheDefaultModelLiesInTheUsersCache) {
  const std::string file = "/intactkv/SmolLM2-135M-Instruct.Q4_1.gguf";
  const ScopedVariable home("HOME", "/h");
  {
    const ScopedVariable cache("XDG_CACHE_HOME", "/c");
    EXPECT_EQ(DefaultModelPath(), "/c" + file);
  }
  for (const char* none : {static_cast<const char*>(nullptr), ""}) {
    const ScopedVariable cache("XDG_CACHE_HOME", none);
    EXPECT_EQ(DefaultModelPath(), "/h/.cache" + file);
  }
  const ScopedVariable cache("XDG_CACHE_HOME", nullptr);
  const ScopedVariable no_home("HOME", nullptr);
  EXPECT_EQ(DefaultModelPath(), "/.cache" + file);
}

TEST(MachineTest, TheSoftLimitOfDescriptorsBecomesTheHardOne) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit lowered{before.rlim_max / 2, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  const int64_t raised = RaiseDescriptorLimit();
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_EQ(raised, static_cast<int64_t>(std::min<rlim_t>(after.rlim_cur, 0x7fffffff)));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(MachineTest, ConnectionsLeaveDescriptorsForTheRest) {
  EXPECT_EQ(ApiConnectionsFor(10256, 10000), 10000u);
  EXPECT_EQ(ApiConnectionsFor(10255, 10000), 9999u);
  EXPECT_EQ(ApiConnectionsFor(1024, 10000), 768u);
  EXPECT_EQ(ApiConnectionsFor(512, 10000), 256u);
  EXPECT_EQ(ApiConnectionsFor(511, 10000), 256u);
  EXPECT_EQ(ApiConnectionsFor(100, 10000), 50u);
  EXPECT_EQ(ApiConnectionsFor(1 << 20, 3), 3u);
}

}  // namespace
}  // namespace intactkv
