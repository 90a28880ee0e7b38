// What this machine and process have: cores and memory, read from the kernel.
#pragma once

#include <cstdint>
#include <string>

namespace intactkv {

int NumAllowedCores();           // >= 1; respects the affinity mask
int64_t AvailableMemoryBytes();  // MemAvailable, bounded by the cgroup's limit; 0 if unknown
int64_t ResidentBytes();         // of this process now; 0 if unknown
std::string DefaultModelPath();  // where scripts/fetch-model.sh keeps the default model

}  // namespace intactkv
