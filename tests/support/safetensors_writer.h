// Writes safetensors files for tests, as Hugging Face's writer lays them out: header padded with
// spaces to eight bytes, tensors without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/tensor.h"

namespace intactkv::test {

struct SafetensorsImage {
  std::vector<std::byte> bytes;
  size_t data_start = 0;  // 8 + the header's length
};

// Collects tensors, then builds the file. Writes what it is told, valid or not: the reader is under
// test, not the writer. Thread-compatible.
class SafetensorsWriter {
 public:
  // `shape` rows first; values.size() is its product. F32, F16 or BF16.
  void AddTensor(const std::string& name, TensorType type, const std::vector<int64_t>& shape,
                 std::span<const float> values);
  // The entry's JSON as it is, e.g. R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})".
  void AddRawEntry(const std::string& name, const std::string& json) {
    entries_.push_back({name, json});
  }

  SafetensorsImage Build() const;

 private:
  struct Entry {
    std::string name;
    std::string json;
  };
  std::vector<Entry> entries_;
  std::vector<std::byte> data_;
};

// A file of this header text and these data, the length before them right.
std::vector<std::byte> SafetensorsBytes(const std::string& header, std::span<const std::byte> data);

}  // namespace intactkv::test
