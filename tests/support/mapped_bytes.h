// How much of a memory map of this process is in memory.
#pragma once

#include <cstdint>
#include <string>

namespace intactkv::test {

// Resident bytes of all maps of the file `path` (an absolute path), from /proc/self/smaps.
int64_t ResidentMappedBytes(const std::string& path);

}  // namespace intactkv::test
