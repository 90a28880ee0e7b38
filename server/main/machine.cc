#include "server/main/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace intactkv {
namespace {

constexpr int64_t kUsualDescriptors = 1024;
constexpr int64_t kReservedDescriptors = 256;

// The number in the first line of `path` that starts with `key` ("" for a file that is one number),
// times `unit`; 0 if there is none.
int64_t ReadNumber(const std::string& path, const std::string& key, int64_t unit) {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (line.compare(0, key.size(), key) != 0) continue;
    return std::strtoll(line.c_str() + key.size(), nullptr, 10) * unit;
  }
  return 0;
}

}  // namespace

int NumAllowedCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

int QuotaCores(const std::string& cpu_max) {
  std::istringstream in(cpu_max);
  int64_t quota = 0, period = 0;
  if (!(in >> quota >> period) || quota < 1 || period < 1) return 0;  // "max": no number
  constexpr int64_t kMost = 1 << 20;
  return static_cast<int>(std::min((quota - 1) / period + 1, kMost));
}

int NumQuotaCores() {
  std::ifstream in("/proc/self/cgroup");
  std::string path;
  while (std::getline(in, path) && !path.starts_with("0::/")) {
  }
  if (!path.starts_with("0::/")) return 0;
  path.erase(0, 3);
  int least = 0;
  // A parent's quota binds its children too. In a container the own path may not be mounted: then
  // only the root is.
  for (;;) {
    std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
    std::string line;
    std::getline(file, line);
    const int cores = QuotaCores(line);
    if (cores > 0) least = least == 0 ? cores : std::min(least, cores);
    if (path.empty()) return least;
    path.erase(path.find_last_of('/'));
  }
}

int64_t AvailableMemoryBytes() {
  int64_t bytes = ReadNumber("/proc/meminfo", "MemAvailable:", 1024);
  for (const char* limit :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const int64_t cgroup = ReadNumber(limit, "", 1);
    if (cgroup > 0) bytes = bytes == 0 ? cgroup : std::min(bytes, cgroup);
  }
  return bytes;
}

int64_t ResidentBytes() { return ReadNumber("/proc/self/status", "VmRSS:", 1024); }

int64_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kUsualDescriptors;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  constexpr rlim_t kMost = std::numeric_limits<int32_t>::max();  // "infinity" is one more than all
  return static_cast<int64_t>(std::min(limit.rlim_cur, kMost));
}

size_t ApiConnectionsFor(int64_t descriptors, size_t configured) {
  const int64_t reserve = std::min(kReservedDescriptors, descriptors / 2);
  return std::min(configured, static_cast<size_t>(descriptors - reserve));
}

std::string DefaultModelPath() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder = cache != nullptr && *cache != '\0'
                           ? cache
                           : std::string(home == nullptr ? "" : home) + "/.cache";
  return folder + "/intactkv/SmolLM2-135M-Instruct.Q4_1.gguf";
}

}  // namespace intactkv
