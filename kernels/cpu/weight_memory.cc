#include "kernels/cpu/weight_memory.h"

#include <sys/mman.h>

#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

absl::StatusOr<WeightMemory> WeightMemory::Allocate(size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return ResourceExhausted("no memory for " + std::to_string(bytes) + " bytes of weights");
  }
  // Best effort: a refusal costs speed only.
  if (bytes >= 2 * kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
  return WeightMemory(static_cast<std::byte*>(data), bytes);
}

WeightMemory::~WeightMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace intactkv
