#include "server/main/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace intactkv {
namespace {

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

std::string DefaultModelPath() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder = cache != nullptr && *cache != '\0'
                           ? cache
                           : std::string(home == nullptr ? "" : home) + "/.cache";
  return folder + "/intactkv/SmolLM2-135M-Instruct.Q4_1.gguf";
}

}  // namespace intactkv
