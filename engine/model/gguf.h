// Reader of GGUF version 3 weight files: typed metadata and tensors over a memory map.
// Source: the format's specification, ggml-org/ggml docs/gguf.md.
//
// A file is untrusted input. Every count, length, product and offset is checked before it is used;
// a damaged file gives one error line that names the metadata key, tensor or header field, and why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/gguf_tensor_types.h"  // IWYU pragma: export
#include "engine/model/mapped_file.h"
#include "engine/model/weight_files.h"
#include "kernels/api/tensor.h"

namespace intactkv {

// Limits; a file beyond one of them is refused.
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufMaxTensors = 100'000;
inline constexpr uint64_t kGgufMaxKeys = 100'000;
inline constexpr uint64_t kGgufMaxKeyBytes = 256;             // printable ASCII
inline constexpr uint64_t kGgufMaxTensorNameBytes = 64;       // printable ASCII
inline constexpr uint64_t kGgufMaxStringBytes = 16ull << 20;  // any bytes
inline constexpr uint64_t kGgufMaxArrayElements = 16ull << 20;
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMaxAlignment = 1ull << 20;  // and a power of two >= 8

enum class GgufValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
std::string_view GgufValueTypeName(GgufValueType type);  // "uint32", "string", ...

// Where one metadata value lies; already checked, so that the getters cannot run out of bounds.
struct GgufValue {
  GgufValueType type = GgufValueType::kUint8;  // of an array: the type of its elements
  bool is_array = false;
  uint64_t count = 1;                // elements; 1 for a scalar
  std::span<const std::byte> bytes;  // of the elements, as in the file
};

using GgufTensor = WeightTensor;

// Immutable once parsed; movable. Thread-compatible, const calls from any thread. The tensors' data
// live as long as the object (Open) or as the caller's buffer (Parse).
class GgufFile : public WeightFiles {
 public:
  // Maps and parses. Errors: those of MappedFile::Open; kInvalidArgument (damaged), kUnimplemented
  // (another version, byte order, tensor type, or a split file), one line each. O(metadata).
  static absl::StatusOr<GgufFile> Open(const std::string& path);
  // Parses bytes that the caller owns, aligned to 8; `name` stands for the path in errors.
  static absl::StatusOr<GgufFile> Parse(std::span<const std::byte> bytes, std::string name);

  // Metadata. Errors: kNotFound (no such key), kInvalidArgument (another type or out of range),
  // both naming the key. Integers of every width convert to int64; floats of both widths to double.
  bool Has(std::string_view key) const { return values_.find(key) != values_.end(); }
  absl::StatusOr<std::string> GetString(std::string_view key) const;
  absl::StatusOr<int64_t> GetInt(std::string_view key) const;
  absl::StatusOr<double> GetFloat(std::string_view key) const;
  absl::StatusOr<bool> GetBool(std::string_view key) const;
  absl::StatusOr<std::vector<std::string>> GetStringArray(std::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> GetIntArray(std::string_view key) const;
  absl::StatusOr<std::vector<float>> GetFloatArray(std::string_view key) const;
  // The number of elements of an array, without reading them.
  absl::StatusOr<int64_t> GetArrayLength(std::string_view key) const;
  std::vector<std::string> Keys() const;  // ascending

  void Discard(const WeightTensor& tensor) const override { mapping_.Discard(tensor.data); }

 private:
  friend class GgufParser;
  GgufFile() : WeightFiles(TensorNaming::kGguf) {}
  absl::StatusOr<const GgufValue*> Find(std::string_view key, bool is_array) const;
  absl::Status WrongType(std::string_view key, const GgufValue& value, const char* wanted) const;

  MappedFile mapping_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

}  // namespace intactkv
