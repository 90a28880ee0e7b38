// What this machine and process have: cores and memory, read from the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace intactkv {

int NumAllowedCores();  // >= 1; respects the affinity mask
// Cores that the process's cgroups (v2, cpu.max) let it use at once, rounded up; 0: no quota.
int NumQuotaCores();
// The same of the content of one cpu.max: "200000 100000" is 2, "max 100000" is 0.
int QuotaCores(const std::string& cpu_max);
int64_t AvailableMemoryBytes();  // MemAvailable, bounded by the cgroup's limit; 0 if unknown
int64_t ResidentBytes();         // of this process now; 0 if unknown
// Raises the soft limit of open files to the hard one; what it is now.
int64_t RaiseDescriptorLimit();
// How many clients of the API fit: the rest of the descriptors, 256 where there are 512, else half,
// is for probes, gRPC, files and libraries, which must go on working when the API is full.
size_t ApiConnectionsFor(int64_t descriptors, size_t configured);
std::string DefaultModelPath();  // where scripts/fetch-model.sh keeps the default model

}  // namespace intactkv
