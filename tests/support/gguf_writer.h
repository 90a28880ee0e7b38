// Writes GGUF version 3 files for tests, and remembers where each field of the file lies, so that
// tests can damage one on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/model/gguf.h"
#include "kernels/api/tensor.h"

namespace intactkv::test {

enum class GgufFieldKind {
  kMagic,
  kVersion,
  kTensorCount,
  kKeyCount,
  kKeyLength,      // of a metadata key
  kValueType,      // type tag of a metadata value
  kStringLength,   // of a metadata string or string array element
  kArrayType,      // element type of a metadata array
  kArrayLength,    // of a metadata array
  kValue,          // a metadata number
  kNameLength,     // of a tensor name
  kNumDimensions,  // of a tensor
  kDimension,
  kTensorType,
  kOffset,  // of a tensor
};

// One little-endian field of the file: `size` bytes at `offset`.
struct GgufField {
  GgufFieldKind kind;
  std::string owner;  // metadata key or tensor name; empty for the header
  size_t offset = 0;
  size_t size = 0;
};

struct GgufImage {
  std::vector<std::byte> bytes;
  std::vector<GgufField> fields;
  size_t data_start = 0;
};

uint16_t ToHalf(float value);  // fp16, round to nearest even; overflow to infinity

// Values of a blocked or float type from floats and back. Blocked types: round to nearest, for
// blocks of 32 with the scale rule of ggml's reference quantizers; values.size() is a multiple of
// the block.
std::vector<std::byte> EncodeTensor(TensorType type, std::span<const float> values);
std::vector<float> DecodeTensor(TensorType type, std::span<const std::byte> bytes);

// Collects metadata and tensors, then builds the file. Writes what it is told, valid or not (a
// duplicate key, for instance): the reader is under test, not the writer. Thread-compatible.
class GgufWriter {
 public:
  void AddString(const std::string& key, const std::string& value);
  void AddUint32(const std::string& key, uint32_t value);
  void AddFloat32(const std::string& key, float value);
  void AddBool(const std::string& key, bool value);
  void AddStringArray(const std::string& key, const std::vector<std::string>& values);
  void AddInt32Array(const std::string& key, const std::vector<int32_t>& values);
  void AddFloat32Array(const std::string& key, const std::vector<float>& values);
  // A value of any type from its bytes; for an array, `bytes` starts with element type and length.
  void AddRaw(const std::string& key, GgufValueType type, std::vector<std::byte> bytes);
  // Removes every entry with this key; CHECK-fails if there is none. RemoveTensor likewise.
  void RemoveKey(const std::string& key);

  // shape[0] are the columns; values.size() is the product of the shape.
  void AddTensor(const std::string& name, TensorType type, std::vector<uint64_t> shape,
                 std::span<const float> values);
  void AddEncodedTensor(const std::string& name, TensorType type, std::vector<uint64_t> shape,
                        std::vector<std::byte> data);
  // As it is: any type number, any bytes.
  void AddRawTensor(const std::string& name, uint32_t type, std::vector<uint64_t> shape,
                    std::vector<std::byte> data);
  void RemoveTensor(const std::string& name);

  void set_alignment(uint64_t alignment) { alignment_ = alignment; }  // writes no key

  GgufImage Build() const;

 private:
  struct Entry {
    std::string key;
    GgufValueType type;
    std::vector<std::byte> bytes;
    std::vector<GgufField> fields;  // offsets inside `bytes`
  };
  struct Tensor {
    std::string name;
    uint32_t type;
    std::vector<uint64_t> shape;
    std::vector<std::byte> data;
  };
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
  uint64_t alignment_ = kGgufDefaultAlignment;
};

// Writes bytes to a new file; CHECK-fails if it cannot.
void WriteBytes(const std::string& path, std::span<const std::byte> bytes);

}  // namespace intactkv::test
