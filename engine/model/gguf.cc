#include "engine/model/gguf.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/gguf_parser.h"

namespace intactkv {
namespace {

template <typename T>
T LoadAs(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// An integer of any width; false if the type is none or the value lies beyond int64.
bool LoadInt(GgufValueType type, const std::byte* bytes, int64_t* out) {
  switch (type) {
    case GgufValueType::kUint8:
      *out = LoadAs<uint8_t>(bytes);
      return true;
    case GgufValueType::kInt8:
      *out = LoadAs<uint8_t>(bytes) ^ 0x80;  // sign extension: (x ^ 128) - 128
      *out -= 0x80;
      return true;
    case GgufValueType::kUint16:
      *out = LoadAs<uint16_t>(bytes);
      return true;
    case GgufValueType::kInt16:
      *out = LoadAs<int16_t>(bytes);
      return true;
    case GgufValueType::kUint32:
      *out = LoadAs<uint32_t>(bytes);
      return true;
    case GgufValueType::kInt32:
      *out = LoadAs<int32_t>(bytes);
      return true;
    case GgufValueType::kInt64:
      *out = LoadAs<int64_t>(bytes);
      return true;
    case GgufValueType::kUint64: {
      const uint64_t value = LoadAs<uint64_t>(bytes);
      *out = static_cast<int64_t>(value);
      return value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    }
    default:
      return false;
  }
}

bool LoadFloat(GgufValueType type, const std::byte* bytes, double* out) {
  if (type == GgufValueType::kFloat32) {
    *out = static_cast<double>(LoadAs<float>(bytes));
    return true;
  }
  if (type == GgufValueType::kFloat64) {
    *out = LoadAs<double>(bytes);
    return true;
  }
  return false;
}

// The string that starts at `bytes` (length, then characters); the parser checked its bounds.
std::string LoadString(const std::byte* bytes) {
  const uint64_t length = LoadAs<uint64_t>(bytes);
  return {reinterpret_cast<const char*>(bytes) + sizeof(uint64_t), static_cast<size_t>(length)};
}

}  // namespace

std::string_view GgufValueTypeName(GgufValueType type) {
  static constexpr std::string_view kNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                                "int32",  "float32", "bool",   "string", "array",
                                                "uint64", "int64",   "float64"};
  const size_t index = static_cast<size_t>(type);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

absl::StatusOr<GgufFile> GgufFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile mapping, MappedFile::Open(path));
  ASSIGN_OR_RETURN(GgufFile file, Parse(mapping.bytes(), path));
  file.mapping_ = std::move(mapping);  // the bytes do not move with the owner
  return file;
}

absl::StatusOr<GgufFile> GgufFile::Parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.path_ = std::move(name);
  file.file_bytes_ = static_cast<int64_t>(bytes.size());
  RETURN_IF_ERROR(GgufParser(bytes, &file).Run());
  return file;
}

absl::StatusOr<const GgufValue*> GgufFile::Find(std::string_view key, bool is_array) const {
  const auto it = values_.find(key);
  if (it == values_.end()) {
    return NotFound(path_ + ": metadata key '" + std::string(key) + "' is missing");
  }
  if (it->second.is_array != is_array) {
    return WrongType(key, it->second, is_array ? "an array" : "a single value");
  }
  return &it->second;
}

absl::Status GgufFile::WrongType(std::string_view key, const GgufValue& value,
                                 const char* wanted) const {
  return InvalidArgument(path_ + ": metadata key '" + std::string(key) + "' must be " + wanted +
                         ", is " + (value.is_array ? "an array of " : "") +
                         std::string(GgufValueTypeName(value.type)));
}

absl::StatusOr<std::string> GgufFile::GetString(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, false));
  if (value->type != GgufValueType::kString) return WrongType(key, *value, "a string");
  return LoadString(value->bytes.data());
}

absl::StatusOr<int64_t> GgufFile::GetInt(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, false));
  int64_t out = 0;
  if (!LoadInt(value->type, value->bytes.data(), &out)) {
    return WrongType(key, *value, "an integer below 2^63");
  }
  return out;
}

absl::StatusOr<double> GgufFile::GetFloat(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, false));
  double out = 0;
  if (!LoadFloat(value->type, value->bytes.data(), &out)) {
    return WrongType(key, *value, "a floating-point number");
  }
  if (!std::isfinite(out)) {
    return InvalidArgument(path_ + ": metadata key '" + std::string(key) +
                           "' is not a finite number");
  }
  return out;
}

absl::StatusOr<bool> GgufFile::GetBool(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, false));
  if (value->type != GgufValueType::kBool) return WrongType(key, *value, "a bool");
  return LoadAs<uint8_t>(value->bytes.data()) != 0;
}

absl::StatusOr<std::vector<std::string>> GgufFile::GetStringArray(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, true));
  if (value->type != GgufValueType::kString) return WrongType(key, *value, "an array of strings");
  std::vector<std::string> out;
  out.reserve(value->count);
  const std::byte* at = value->bytes.data();
  for (uint64_t i = 0; i < value->count; ++i) {
    out.push_back(LoadString(at));
    at += sizeof(uint64_t) + out.back().size();
  }
  return out;
}

absl::StatusOr<std::vector<int64_t>> GgufFile::GetIntArray(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, true));
  std::vector<int64_t> out(value->count);
  const size_t width = value->count == 0 ? 0 : value->bytes.size() / value->count;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!LoadInt(value->type, value->bytes.data() + i * width, &out[i])) {
      return WrongType(key, *value, "an array of integers below 2^63");
    }
  }
  return out;
}

absl::StatusOr<std::vector<float>> GgufFile::GetFloatArray(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, true));
  std::vector<float> out(value->count);
  const size_t width = value->count == 0 ? 0 : value->bytes.size() / value->count;
  for (size_t i = 0; i < out.size(); ++i) {
    double element = 0;
    if (!LoadFloat(value->type, value->bytes.data() + i * width, &element)) {
      return WrongType(key, *value, "an array of floating-point numbers");
    }
    out[i] = static_cast<float>(element);
  }
  return out;
}

absl::StatusOr<int64_t> GgufFile::GetArrayLength(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, Find(key, true));
  return static_cast<int64_t>(value->count);
}

std::vector<std::string> GgufFile::Keys() const {
  std::vector<std::string> out;
  out.reserve(values_.size());
  for (const auto& [key, value] : values_) out.push_back(key);
  return out;
}

}  // namespace intactkv
