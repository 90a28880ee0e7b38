// The one pass that turns the bytes of a GGUF file into a GgufFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/base/printable.h"
#include "engine/model/gguf.h"

namespace intactkv {

// Lives for one Run. Thread-compatible.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, GgufFile* file) : bytes_(bytes), file_(*file) {}
  // Fills the file or returns the first fault (kInvalidArgument, kUnimplemented).
  absl::Status Run();

 private:
  absl::Status ReadHeader();
  absl::Status ReadKeyValue(uint64_t index);
  absl::Status ReadValue(const std::string& where, GgufValueType type, GgufValue* value);
  absl::Status ReadArray(const std::string& where, GgufValue* value);
  absl::Status ReadElements(const std::string& where, GgufValue* value);
  absl::Status ReadAlignment();
  absl::Status ReadTensorInfo(uint64_t index);
  absl::Status ReadShape(const std::string& where, GgufTensor* tensor);
  absl::Status ReadTensorType(const std::string& where, GgufTensor* tensor);
  absl::Status PlaceTensors();
  absl::Status PlaceTensor(uint64_t data_start, uint64_t expected, GgufTensor* tensor);

  // The next sizeof(T) bytes as a little-endian T. `where` and `field` name them in the error.
  template <typename T>
  absl::Status Read(const std::string& where, const char* field, T* out);
  absl::Status ReadName(const std::string& where, uint64_t limit, std::string* out);
  absl::Status Error(const std::string& where, const std::string& why) const;
  uint64_t remaining() const { return bytes_.size() - at_; }

  std::span<const std::byte> bytes_;
  GgufFile& file_;
  uint64_t at_ = 0;  // <= bytes_.size()
  uint64_t num_tensors_ = 0;
  uint64_t num_keys_ = 0;
  uint64_t alignment_ = kGgufDefaultAlignment;
  std::vector<uint64_t> offsets_;  // one per tensor, from the start of the tensor data
};

}  // namespace intactkv
