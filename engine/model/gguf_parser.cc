#include "engine/model/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie");

// Products and sums of untrusted numbers go through these two; nothing else multiplies them.
bool CheckedMultiply(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
bool CheckedAdd(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
// `alignment` is a power of two.
bool CheckedAlignUp(uint64_t value, uint64_t alignment, uint64_t* out) {
  if (!CheckedAdd(value, alignment - 1, out)) return false;
  *out &= ~(alignment - 1);
  return true;
}

// Bytes of one element of a fixed-size type; 0 for string, array and unknown types.
uint64_t ElementBytes(GgufValueType type) {
  static constexpr uint8_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  const size_t index = static_cast<size_t>(type);
  return index < std::size(kBytes) ? kBytes[index] : 0;
}

struct TensorTypeRow {
  uint32_t id;
  const char* name;
  bool supported;
  TensorType type;
};

// ggml's type numbers. Those that we do not read carry a name, so that the refusal can say which.
constexpr TensorTypeRow kTensorTypes[] = {
    {0, "F32", true, TensorType::kF32},       {1, "F16", true, TensorType::kF16},
    {2, "Q4_0", true, TensorType::kQ4_0},     {3, "Q4_1", true, TensorType::kQ4_1},
    {6, "Q5_0", false, TensorType::kF32},     {7, "Q5_1", false, TensorType::kF32},
    {8, "Q8_0", true, TensorType::kQ8_0},     {9, "Q8_1", false, TensorType::kF32},
    {10, "Q2_K", false, TensorType::kF32},    {11, "Q3_K", false, TensorType::kF32},
    {12, "Q4_K", false, TensorType::kF32},    {13, "Q5_K", false, TensorType::kF32},
    {14, "Q6_K", false, TensorType::kF32},    {15, "Q8_K", false, TensorType::kF32},
    {16, "IQ2_XXS", false, TensorType::kF32}, {17, "IQ2_XS", false, TensorType::kF32},
    {18, "IQ3_XXS", false, TensorType::kF32}, {19, "IQ1_S", false, TensorType::kF32},
    {20, "IQ4_NL", false, TensorType::kF32},  {21, "IQ3_S", false, TensorType::kF32},
    {22, "IQ2_S", false, TensorType::kF32},   {23, "IQ4_XS", false, TensorType::kF32},
    {24, "I8", false, TensorType::kF32},      {25, "I16", false, TensorType::kF32},
    {26, "I32", false, TensorType::kF32},     {27, "I64", false, TensorType::kF32},
    {28, "F64", false, TensorType::kF32},     {29, "IQ1_M", false, TensorType::kF32},
    {30, "BF16", true, TensorType::kBF16},    {34, "TQ1_0", false, TensorType::kF32},
    {35, "TQ2_0", false, TensorType::kF32},   {39, "MXFP4", false, TensorType::kF32},
};

}  // namespace

absl::Status GgufParser::Error(const std::string& where, const std::string& why) const {
  return InvalidArgument(file_.path_ + ": " + where + ": " + why);
}

template <typename T>
absl::Status GgufParser::Read(const std::string& where, const char* field, T* out) {
  if (remaining() < sizeof(T)) {
    return Error(where, std::string(field) + " is cut off: the file ends at byte " +
                            std::to_string(bytes_.size()));
  }
  std::memcpy(out, bytes_.data() + at_, sizeof(T));
  at_ += sizeof(T);
  return absl::OkStatus();
}

absl::Status GgufParser::ReadName(const std::string& where, uint64_t limit, std::string* out) {
  uint64_t length = 0;
  RETURN_IF_ERROR(Read(where, "name length", &length));
  if (length == 0 || length > limit) {
    return Error(
        where, "name length " + std::to_string(length) + " is not in 1.." + std::to_string(limit));
  }
  if (length > remaining()) return Error(where, "name is cut off by the end of the file");
  out->assign(reinterpret_cast<const char*>(bytes_.data() + at_), length);
  at_ += length;
  const bool printable =
      std::all_of(out->begin(), out->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable) {
    return Error(where, "name '" + Printable(*out) + "' has a byte that no name may have");
  }
  return absl::OkStatus();
}

absl::Status GgufParser::Run() {
  RETURN_IF_ERROR(ReadHeader());
  for (uint64_t i = 0; i < num_keys_; ++i) RETURN_IF_ERROR(ReadKeyValue(i));
  RETURN_IF_ERROR(ReadAlignment());
  for (uint64_t i = 0; i < num_tensors_; ++i) RETURN_IF_ERROR(ReadTensorInfo(i));
  return PlaceTensors();
}

absl::Status GgufParser::ReadHeader() {
  static constexpr char kMagic[4] = {'G', 'G', 'U', 'F'};
  char magic[4] = {};
  RETURN_IF_ERROR(Read("header", "magic", &magic));
  if (std::memcmp(magic, kMagic, sizeof(magic)) != 0) {
    return Error("header", "magic is '" + Printable({magic, sizeof(magic)}) +
                               "', not 'GGUF': this is not a GGUF file");
  }
  uint32_t version = 0;
  RETURN_IF_ERROR(Read("header", "version", &version));
  if (version != kGgufVersion) {
    const bool swapped = version == 0x03000000;
    return Unimplemented(file_.path_ + ": header: version " + std::to_string(version) +
                         (swapped ? " (a big-endian file)" : "") +
                         " is not supported, only version 3; convert the model again");
  }
  RETURN_IF_ERROR(Read("header", "tensor count", &num_tensors_));
  RETURN_IF_ERROR(Read("header", "metadata count", &num_keys_));
  if (num_tensors_ == 0 || num_tensors_ > kGgufMaxTensors) {
    return Error("header", "tensor count " + std::to_string(num_tensors_) + " is not in 1.." +
                               std::to_string(kGgufMaxTensors));
  }
  if (num_keys_ > kGgufMaxKeys) {
    return Error("header", "metadata count " + std::to_string(num_keys_) + " is above " +
                               std::to_string(kGgufMaxKeys));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ReadKeyValue(uint64_t index) {
  std::string key;
  RETURN_IF_ERROR(ReadName("metadata key #" + std::to_string(index), kGgufMaxKeyBytes, &key));
  const std::string where = "metadata key '" + key + "'";
  uint32_t type = 0;
  RETURN_IF_ERROR(Read(where, "type", &type));
  GgufValue value;
  RETURN_IF_ERROR(ReadValue(where, static_cast<GgufValueType>(type), &value));
  if (!file_.values_.emplace(std::move(key), value).second) {
    return Error(where, "appears twice");
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ReadValue(const std::string& where, GgufValueType type, GgufValue* value) {
  if (static_cast<uint32_t>(type) > static_cast<uint32_t>(GgufValueType::kFloat64)) {
    return Error(where, "type " + std::to_string(static_cast<uint32_t>(type)) + " is unknown");
  }
  if (type == GgufValueType::kArray) return ReadArray(where, value);
  value->type = type;
  return ReadElements(where, value);
}

absl::Status GgufParser::ReadArray(const std::string& where, GgufValue* value) {
  uint32_t type = 0;
  RETURN_IF_ERROR(Read(where, "array element type", &type));
  RETURN_IF_ERROR(Read(where, "array length", &value->count));
  value->is_array = true;
  value->type = static_cast<GgufValueType>(type);
  if (value->type == GgufValueType::kArray) {
    return Error(where, "an array of arrays is not supported");
  }
  if (value->type != GgufValueType::kString && ElementBytes(value->type) == 0) {
    return Error(where, "array element type " + std::to_string(type) + " is unknown");
  }
  if (value->count > kGgufMaxArrayElements) {
    return Error(where, "array length " + std::to_string(value->count) + " is above " +
                            std::to_string(kGgufMaxArrayElements));
  }
  return ReadElements(where, value);
}

// Steps over value->count elements, checks each string and bool, and notes where they lie.
absl::Status GgufParser::ReadElements(const std::string& where, GgufValue* value) {
  const uint64_t begin = at_;
  if (value->type == GgufValueType::kString) {
    for (uint64_t i = 0; i < value->count; ++i) {
      uint64_t length = 0;
      RETURN_IF_ERROR(Read(where, "string length", &length));
      if (length > kGgufMaxStringBytes) {
        return Error(where, "string length " + std::to_string(length) + " is above " +
                                std::to_string(kGgufMaxStringBytes));
      }
      if (length > remaining()) return Error(where, "string is cut off by the end of the file");
      at_ += length;
    }
  } else {
    uint64_t needed = 0;
    if (!CheckedMultiply(value->count, ElementBytes(value->type), &needed) ||
        needed > remaining()) {
      return Error(where,
                   "value is cut off: the file ends at byte " + std::to_string(bytes_.size()));
    }
    at_ += needed;
  }
  value->bytes = bytes_.subspan(begin, at_ - begin);
  if (value->type == GgufValueType::kBool &&
      std::any_of(value->bytes.begin(), value->bytes.end(),
                  [](std::byte b) { return b > std::byte{1}; })) {
    return Error(where, "a bool is neither 0 nor 1");
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ReadAlignment() {
  static constexpr char kKey[] = "general.alignment";
  if (file_.Has(kKey)) {
    ASSIGN_OR_RETURN(const int64_t alignment, file_.GetInt(kKey));
    if (alignment < 8 || static_cast<uint64_t>(alignment) > kGgufMaxAlignment ||
        !std::has_single_bit(static_cast<uint64_t>(alignment))) {
      return Error("metadata key 'general.alignment'", std::to_string(alignment) +
                                                           " is not a power of two in 8.." +
                                                           std::to_string(kGgufMaxAlignment));
    }
    alignment_ = static_cast<uint64_t>(alignment);
  }
  if (file_.Has("split.count")) {
    ASSIGN_OR_RETURN(const int64_t parts, file_.GetInt("split.count"));
    if (parts > 1) {
      return Unimplemented(file_.path_ + ": metadata key 'split.count': the model is split into " +
                           std::to_string(parts) + " files; merge them into one first");
    }
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ReadTensorInfo(uint64_t index) {
  GgufTensor tensor;
  RETURN_IF_ERROR(
      ReadName("tensor #" + std::to_string(index), kGgufMaxTensorNameBytes, &tensor.name));
  const std::string where = "tensor '" + tensor.name + "'";
  RETURN_IF_ERROR(ReadShape(where, &tensor));
  RETURN_IF_ERROR(ReadTensorType(where, &tensor));
  uint64_t offset = 0;
  RETURN_IF_ERROR(Read(where, "offset", &offset));
  if (!file_.tensor_index_.emplace(tensor.name, file_.tensors_.size()).second) {
    return Error(where, "appears twice");
  }
  file_.tensors_.push_back(std::move(tensor));
  offsets_.push_back(offset);
  return absl::OkStatus();
}

absl::Status GgufParser::ReadShape(const std::string& where, GgufTensor* tensor) {
  uint32_t num_dims = 0;
  RETURN_IF_ERROR(Read(where, "number of dimensions", &num_dims));
  if (num_dims < 1 || num_dims > 4) {
    return Error(where, "number of dimensions " + std::to_string(num_dims) + " is not in 1..4");
  }
  uint64_t product = 1;
  for (uint32_t i = 0; i < num_dims; ++i) {
    uint64_t size = 0;
    RETURN_IF_ERROR(Read(where, "dimension", &size));
    // 2^62 elements at most: every later product with a block's bytes is checked, too.
    if (size == 0 || !CheckedMultiply(product, size, &product) || product > (1ull << 62)) {
      return Error(where, "dimension " + std::to_string(i) + " of size " + std::to_string(size) +
                              " is zero or too large");
    }
    tensor->shape.push_back(static_cast<int64_t>(size));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ReadTensorType(const std::string& where, GgufTensor* tensor) {
  uint32_t id = 0;
  RETURN_IF_ERROR(Read(where, "type", &id));
  const auto row = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                [id](const TensorTypeRow& r) { return r.id == id; });
  if (row == std::end(kTensorTypes)) {
    return Error(where, "type number " + std::to_string(id) + " is unknown");
  }
  if (!row->supported) {
    return Unimplemented(file_.path_ + ": " + where + ": type " + row->name +
                         " is not supported; use a file in F32, F16, BF16, Q8_0, Q4_0 or Q4_1");
  }
  tensor->type = row->type;
  if (tensor->cols() % TensorBlockElements(tensor->type) != 0) {
    return Error(where, "shape " + ShapeString(tensor->shape) + ": type " + row->name +
                            " needs columns that are a multiple of 32");
  }
  return absl::OkStatus();
}

// The format demands that tensors follow each other in the order of their infos, each padded to the
// alignment, up to the end of the file. Holding files to that catches every damaged offset, size
// and count, and every truncation.
absl::Status GgufParser::PlaceTensors() {
  uint64_t data_start = 0;
  if (!CheckedAlignUp(at_, alignment_, &data_start) || data_start > bytes_.size()) {
    return Error("tensor data", "the file ends at byte " + std::to_string(bytes_.size()) +
                                    ", before the first tensor");
  }
  uint64_t expected = 0;
  for (size_t i = 0; i < file_.tensors_.size(); ++i) {
    GgufTensor& tensor = file_.tensors_[i];
    if (offsets_[i] != expected) {
      return Error(
          "tensor '" + tensor.name + "'",
          "offset " + std::to_string(offsets_[i]) +
              (offsets_[i] < expected ? " overlaps the tensor before it, which"
                                      : " leaves a gap after the tensor before it, which") +
              " ends at " + std::to_string(expected));
    }
    RETURN_IF_ERROR(PlaceTensor(data_start, expected, &tensor));
    uint64_t end = 0;
    if (!CheckedAdd(expected, tensor.data.size(), &end) ||
        !CheckedAlignUp(end, alignment_, &expected)) {
      return Error("tensor '" + tensor.name + "'", "its end overflows");
    }
  }
  const uint64_t available = bytes_.size() - data_start;
  if (available != expected) {
    return Error("tensor data", "the tensors and their padding need " + std::to_string(expected) +
                                    " bytes, the file has " + std::to_string(available) +
                                    " from byte " + std::to_string(data_start) + " on");
  }
  return absl::OkStatus();
}

absl::Status GgufParser::PlaceTensor(uint64_t data_start, uint64_t expected, GgufTensor* tensor) {
  const uint64_t elements = static_cast<uint64_t>(tensor->num_elements());
  const uint64_t blocks = elements / static_cast<uint64_t>(TensorBlockElements(tensor->type));
  const uint64_t available = bytes_.size() - data_start;
  uint64_t needed = 0, end = 0;
  if (!CheckedMultiply(blocks, static_cast<uint64_t>(TensorBlockBytes(tensor->type)), &needed) ||
      !CheckedAdd(expected, needed, &end) || end > available) {
    return Error("tensor '" + tensor->name + "'",
                 "shape " + ShapeString(tensor->shape) + " in " +
                     std::string(TensorTypeName(tensor->type)) +
                     " reaches beyond the end of the file at byte " +
                     std::to_string(bytes_.size()) + ": the file is truncated or damaged");
  }
  tensor->data = bytes_.subspan(data_start + expected, needed);
  return absl::OkStatus();
}

}  // namespace intactkv
