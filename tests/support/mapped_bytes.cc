#include "tests/support/mapped_bytes.h"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace intactkv::test {

int64_t ResidentMappedBytes(const std::string& path) {
  const std::string name = std::filesystem::canonical(path).string();
  std::ifstream smaps("/proc/self/smaps");
  int64_t bytes = 0;
  bool ours = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == "Rss:") {
      int64_t kilobytes = 0;
      words >> kilobytes;
      if (ours) bytes += kilobytes * 1024;
    } else if (!first.ends_with(':')) {  // a map begins
      ours = line.ends_with(name);
    }
  }
  return bytes;
}

}  // namespace intactkv::test
