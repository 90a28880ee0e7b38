// Anonymous memory for weights: page-aligned, and back at the operating system when freed.
#pragma once

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"

namespace intactkv {

// Owns one mapping. Thread-compatible.
class WeightMemory {
 public:
  // Zeroed. kResourceExhausted if the memory can't be had.
  static absl::StatusOr<WeightMemory> Allocate(size_t bytes);

  WeightMemory() = default;
  WeightMemory(WeightMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  WeightMemory& operator=(WeightMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~WeightMemory();

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  WeightMemory(std::byte* data, size_t bytes) : data_(data), bytes_(bytes) {}
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace intactkv
