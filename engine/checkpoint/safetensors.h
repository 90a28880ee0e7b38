// Reader of one safetensors file: named float tensors over a memory map.
// Source: the format's description, huggingface/safetensors README.md, "Format".
//
// A file is untrusted input. Every length, shape, product and offset is checked before it is used;
// a damaged file gives one error line that names the tensor or header field, and why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/mapped_file.h"
#include "kernels/api/tensor.h"

namespace intactkv {

// Limits; a file beyond one of them is refused.
inline constexpr uint64_t kSafetensorsMaxHeaderBytes = 16ull << 20;
inline constexpr size_t kSafetensorsMaxTensors = 100'000;
inline constexpr size_t kSafetensorsMaxNameBytes = 256;  // printable ASCII
inline constexpr size_t kSafetensorsMaxDimensions = 4;

struct SafetensorsTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;       // as in the file: rows first; 1..4 sizes, each >= 1
  std::span<const std::byte> data;  // exactly the bytes that shape and type need, unaligned
};

// Immutable once parsed; movable. Thread-compatible, const calls from any thread. The tensors' data
// live as long as the object (Open) or as the caller's buffer (Parse).
class SafetensorsFile {
 public:
  // Maps and parses. Errors: those of MappedFile::Open; kInvalidArgument (damaged), kUnimplemented
  // (another dtype than F32, F16 and BF16), one line each. O(header).
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);
  // Parses bytes that the caller owns; `name` stands for the path in errors.
  static absl::StatusOr<SafetensorsFile> Parse(std::span<const std::byte> bytes,
                                               const std::string& name);

  int64_t file_bytes() const { return file_bytes_; }
  void Discard(std::span<const std::byte> data) const { mapping_.Discard(data); }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // by offset

 private:
  SafetensorsFile() = default;

  MappedFile mapping_;
  int64_t file_bytes_ = 0;
  std::vector<SafetensorsTensor> tensors_;
};

}  // namespace intactkv
