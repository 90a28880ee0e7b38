#include "kernels/cpu/kv_pool.h"

#include <sys/mman.h>

#include <cstring>
#include <limits>
#include <string>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "kernels/quant/page_pack.h"

namespace intactkv {
namespace {

// Calls fn(format, offset of the slice in the page, offset of the slice in the canonical form,
// canonical bytes of the slice) for each slice.
template <typename Fn>
void ForEachSlice(const ClassLayout& layout, const Fn& fn) {
  size_t at = 0;
  for (int layer = 0; layer < layout.shape.num_layers; ++layer) {
    const KvFormat format = layout.layers[static_cast<size_t>(layer)].format;
    const size_t bytes = CanonicalSliceBytes(format, layout.shape.head_dim);
    for (int head = 0; head < layout.shape.num_kv_heads; ++head) {
      fn(format, layout.SliceOffset(layer, head), at, bytes);
      at += bytes;
    }
  }
}

}  // namespace

CpuKvPool::~CpuKvPool() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

void CpuKvPool::ExportPage(int slot, std::span<std::byte> canonical) const {
  CHECK(slot >= 0 && slot < num_pages_) << "slot " << slot;
  CHECK_EQ(canonical.size(), CanonicalPageBytes(layout_));
  const std::byte* page = PageData(slot);
  ForEachSlice(layout_, [&](KvFormat format, size_t offset, size_t at, size_t bytes) {
    UnpackSlice(format, layout_.shape.head_dim, page + offset, canonical.subspan(at, bytes));
  });
}

void CpuKvPool::ImportPage(int slot, std::span<const std::byte> canonical) {
  CHECK(slot >= 0 && slot < num_pages_) << "slot " << slot;
  CHECK_EQ(canonical.size(), CanonicalPageBytes(layout_));
  std::byte* page = PageData(slot);
  ForEachSlice(layout_, [&](KvFormat format, size_t offset, size_t at, size_t bytes) {
    PackSlice(format, layout_.shape.head_dim, canonical.subspan(at, bytes), page + offset);
  });
}

absl::StatusOr<std::unique_ptr<KvPool>> MakeCpuKvPool(const ClassLayout& layout, int num_pages) {
  if (num_pages < 0) return InvalidArgument("a pool of " + std::to_string(num_pages) + " pages");
  const size_t count = static_cast<size_t>(num_pages);
  if (count != 0 && layout.page_bytes > std::numeric_limits<size_t>::max() / 2 / count) {
    return ResourceExhausted("a KV pool of " + std::to_string(num_pages) + " pages overflows");
  }
  const size_t bytes = count * layout.page_bytes;
  std::byte* data = nullptr;
  if (bytes != 0) {
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
      return ResourceExhausted("no memory for a KV pool of " + std::to_string(bytes) + " bytes");
    }
    data = static_cast<std::byte*>(mapped);
    std::memset(data, 0, bytes);  // makes it resident
  }
  return std::unique_ptr<KvPool>(new CpuKvPool(layout, num_pages, {data, bytes}));
}

}  // namespace intactkv
