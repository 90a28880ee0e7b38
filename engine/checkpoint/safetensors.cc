#include "engine/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/json/json_fields.h"

namespace intactkv {
namespace {

constexpr char kMetadata[] = "__metadata__";
constexpr int64_t kMaxOffset = int64_t{1} << 62;

struct Dtype {
  std::string_view name;
  TensorType type;
  uint64_t bytes;
};
constexpr Dtype kDtypes[] = {
    {"F32", TensorType::kF32, 4}, {"F16", TensorType::kF16, 2}, {"BF16", TensorType::kBF16, 2}};

absl::Status Error(const std::string& file, const std::string& tensor, const std::string& why) {
  return InvalidArgument(file + ": tensor '" + Printable(tensor) + "': " + why);
}

absl::StatusOr<Dtype> ReadDtype(const JsonFields& entry, const std::string& file,
                                const std::string& tensor) {
  ASSIGN_OR_RETURN(const std::string name, entry.GetString("dtype"));
  for (const Dtype& dtype : kDtypes) {
    if (dtype.name == name) return dtype;
  }
  return Unimplemented(file + ": tensor '" + Printable(tensor) + "': dtype '" + Printable(name) +
                       "' is not supported; serve a checkpoint in F32, F16 or BF16");
}

// Products stay below 2^62, so that sizes in bytes and their sums cannot overflow.
absl::StatusOr<uint64_t> CountElements(const std::string& file, const std::string& tensor,
                                       const std::vector<int64_t>& shape) {
  if (shape.empty() || shape.size() > kSafetensorsMaxDimensions) {
    return Error(file, tensor,
                 "number of dimensions " + std::to_string(shape.size()) + " is not in 1.." +
                     std::to_string(kSafetensorsMaxDimensions));
  }
  uint64_t product = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(size), &product) ||
        product > (1ull << 59)) {
      return Error(file, tensor, "a dimension of size " + std::to_string(size) + " is too large");
    }
  }
  return product;
}

// One entry of the header, its data placed in `data`, the bytes behind the header.
absl::StatusOr<SafetensorsTensor> ReadTensor(const JsonFields& header, const std::string& file,
                                             const std::string& name,
                                             std::span<const std::byte> data) {
  const bool printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (name.empty() || name.size() > kSafetensorsMaxNameBytes || !printable) {
    return Error(file, name, "its name is empty, too long, or has a byte that no name may have");
  }
  ASSIGN_OR_RETURN(const JsonFields entry, header.GetObject(name));
  SafetensorsTensor tensor;
  tensor.name = name;
  ASSIGN_OR_RETURN(const Dtype dtype, ReadDtype(entry, file, name));
  tensor.type = dtype.type;
  ASSIGN_OR_RETURN(tensor.shape, entry.GetInts("shape", 1, kMaxOffset));
  ASSIGN_OR_RETURN(const uint64_t elements, CountElements(file, name, tensor.shape));
  ASSIGN_OR_RETURN(const std::vector<int64_t> offsets,
                   entry.GetInts("data_offsets", 0, kMaxOffset));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return Error(file, name, "data_offsets are not a begin and an end behind it");
  }
  const auto begin = static_cast<uint64_t>(offsets[0]), end = static_cast<uint64_t>(offsets[1]);
  if (end > data.size()) {
    return Error(file, name,
                 "data_offsets end at " + std::to_string(end) + ", the file has " +
                     std::to_string(data.size()) + " bytes of data: it is truncated or damaged");
  }
  if (end - begin != elements * dtype.bytes) {
    return Error(file, name,
                 "data_offsets span " + std::to_string(end - begin) +
                     " bytes, its shape and dtype need " + std::to_string(elements * dtype.bytes));
  }
  tensor.data = data.subspan(begin, end - begin);
  return tensor;
}

// The format demands that tensors fill the data without holes or overlaps. Holding files to that
// catches every damaged offset and every truncation.
absl::Status CheckPlaces(const std::string& file, std::vector<SafetensorsTensor>* tensors,
                         std::span<const std::byte> data) {
  std::sort(tensors->begin(), tensors->end(),
            [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
              return a.data.data() < b.data.data();
            });
  const std::byte* expected = data.data();
  for (const SafetensorsTensor& tensor : *tensors) {
    if (tensor.data.data() != expected) {
      return Error(file, tensor.name,
                   std::string("data_offsets ") +
                       (tensor.data.data() < expected ? "overlap those of" : "leave a gap behind") +
                       " the tensor before it");
    }
    expected += tensor.data.size();
  }
  const auto used = static_cast<size_t>(expected - data.data());
  if (used == data.size()) return absl::OkStatus();
  return InvalidArgument(file + ": header: the tensors need " + std::to_string(used) +
                         " bytes of data, the file has " + std::to_string(data.size()));
}

absl::Status CheckMetadata(const JsonFields& header) {
  if (!header.Has(kMetadata)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const JsonFields metadata, header.GetObject(kMetadata));
  for (const std::string& key : metadata.Keys()) RETURN_IF_ERROR(metadata.GetString(key).status());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile mapping, MappedFile::Open(path));
  ASSIGN_OR_RETURN(SafetensorsFile file, Parse(mapping.bytes(), path));
  file.mapping_ = std::move(mapping);  // the bytes do not move with the owner
  return file;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(std::span<const std::byte> bytes,
                                                       const std::string& name) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) {
    return InvalidArgument(name + ": header: its length is cut off, the file has " +
                           std::to_string(bytes.size()) + " bytes");
  }
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kSafetensorsMaxHeaderBytes || length > bytes.size() - sizeof(length)) {
    return InvalidArgument(name + ": header: its length " + std::to_string(length) + " is above " +
                           std::to_string(kSafetensorsMaxHeaderBytes) +
                           " or reaches beyond the end of the file at byte " +
                           std::to_string(bytes.size()));
  }
  const std::span<const std::byte> text = bytes.subspan(sizeof(length), length);
  const std::span<const std::byte> data = bytes.subspan(sizeof(length) + length);
  // Each tensor has four keys, metadata a few more.
  ASSIGN_OR_RETURN(
      const auto object,
      ParseJsonFile(name + ": header", {reinterpret_cast<const char*>(text.data()), text.size()},
                    {.max_depth = 3,
                     .max_keys = 5 * kSafetensorsMaxTensors,
                     .max_expanded_bytes = size_t{16} * kSafetensorsMaxHeaderBytes}));
  const JsonFields header(object, name + ": header");
  RETURN_IF_ERROR(CheckMetadata(header));
  SafetensorsFile file;
  file.file_bytes_ = static_cast<int64_t>(bytes.size());
  for (const std::string& tensor_name : header.Keys()) {
    if (tensor_name == kMetadata) continue;
    ASSIGN_OR_RETURN(SafetensorsTensor tensor, ReadTensor(header, name, tensor_name, data));
    file.tensors_.push_back(std::move(tensor));
  }
  RETURN_IF_ERROR(CheckPlaces(name, &file.tensors_, data));
  return file;
}

}  // namespace intactkv
