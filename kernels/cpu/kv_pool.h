// KV pages of one class in anonymous memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"

namespace intactkv {

// Pages are consecutive, layout().page_bytes apart, the first one aligned to a memory page, so
// every slice is aligned to 128 bytes. Thread-compatible; distinct pages may be used from distinct
// threads.
class CpuKvPool final : public KvPool {
 public:
  CpuKvPool(const CpuKvPool&) = delete;
  CpuKvPool& operator=(const CpuKvPool&) = delete;
  ~CpuKvPool() override;

  const ClassLayout& layout() const override { return layout_; }
  int num_pages() const override { return num_pages_; }
  size_t bytes() const override { return bytes_; }
  void ExportPage(int slot, std::span<std::byte> canonical) const override;
  void ImportPage(int slot, std::span<const std::byte> canonical) override;

  // slot in [0, num_pages()).
  std::byte* PageData(int slot) { return data_ + static_cast<size_t>(slot) * layout_.page_bytes; }
  const std::byte* PageData(int slot) const {
    return data_ + static_cast<size_t>(slot) * layout_.page_bytes;
  }

 private:
  friend absl::StatusOr<std::unique_ptr<KvPool>> MakeCpuKvPool(const ClassLayout&, int);
  CpuKvPool(const ClassLayout& layout, int num_pages, std::span<std::byte> memory)
      : layout_(layout), num_pages_(num_pages), bytes_(memory.size()), data_(memory.data()) {}

  const ClassLayout layout_;
  const int num_pages_;
  const size_t bytes_;
  std::byte* const data_;  // a mapping of bytes_, owned; null if there are no pages
};

// A pool whose every byte is resident. num_pages >= 0. kResourceExhausted if the memory can't be
// had, kInvalidArgument for a negative count. Thread-safe.
absl::StatusOr<std::unique_ptr<KvPool>> MakeCpuKvPool(const ClassLayout& layout, int num_pages);

}  // namespace intactkv
