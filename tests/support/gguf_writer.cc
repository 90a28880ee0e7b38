#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/half_float.h"
#include "tests/support/k_quant_codec.h"

namespace intactkv::test {
namespace {

// Appends values and remembers where the fields went.
class Sink {
 public:
  template <typename T>
  void Put(const T& value) {
    const std::span<const std::byte> bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  template <typename T>
  void PutField(GgufFieldKind kind, const std::string& owner, const T& value) {
    fields_.push_back({kind, owner, bytes_.size(), sizeof(T)});
    Put(value);
  }
  void PutString(GgufFieldKind kind, const std::string& owner, const std::string& text) {
    PutField(kind, owner, static_cast<uint64_t>(text.size()));
    PutBytes(std::as_bytes(std::span(text)));
  }
  void PutBytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void PadTo(uint64_t alignment) {
    while (bytes_.size() % alignment != 0) bytes_.push_back(std::byte{0});
  }
  // Takes over what another sink's owner wrote, its fields moved along.
  void PutEntry(std::span<const std::byte> bytes, const std::vector<GgufField>& fields) {
    for (GgufField field : fields) {
      field.offset += bytes_.size();
      fields_.push_back(std::move(field));
    }
    PutBytes(bytes);
  }
  size_t size() const { return bytes_.size(); }

  std::vector<std::byte> bytes_;
  std::vector<GgufField> fields_;
};

uint16_t ToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

int Clamp(float value, int low, int high) {
  return std::clamp(static_cast<int>(std::nearbyint(value)), low, high);
}

void PutQ8(std::span<const float> x, Sink* out) {
  float largest = 0;
  for (const float v : x) largest = std::max(largest, std::fabs(v));
  const uint16_t scale = ToHalf(largest / 127.0f);
  const float d = HalfToFloat(scale);
  out->Put(scale);
  for (const float v : x) out->Put(static_cast<int8_t>(d == 0 ? 0 : Clamp(v / d, -127, 127)));
}

// Codes (x - origin) / d of `bits` bits, 4 or 5: the fifth bits first, as one word.
void PutCodes(std::span<const float> x, int bits, float d, float origin, Sink* out) {
  const auto code = [&](size_t i) {
    return static_cast<unsigned>(d == 0 ? 0 : Clamp((x[i] - origin) / d, 0, (1 << bits) - 1));
  };
  if (bits == 5) {
    uint32_t high = 0;
    for (size_t i = 0; i < 32; ++i) high |= (code(i) >> 4) << i;
    out->Put(high);
  }
  for (size_t i = 0; i < 16; ++i) {
    out->Put(static_cast<uint8_t>((code(i) & 15u) | code(i + 16) << 4));
  }
}

void PutSymmetric(std::span<const float> x, int bits, Sink* out) {
  float extreme = 0;  // the value of largest magnitude gets code 0
  for (const float v : x) extreme = std::fabs(v) > std::fabs(extreme) ? v : extreme;
  const float zero_point = bits == 4 ? 8.0f : 16.0f;
  const uint16_t scale = ToHalf(extreme / -zero_point);
  const float d = HalfToFloat(scale);
  out->Put(scale);
  PutCodes(x, bits, d, -zero_point * d, out);
}

void PutWithMinimum(std::span<const float> x, int bits, Sink* out) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const uint16_t scale = ToHalf((*high - *low) / (bits == 4 ? 15.0f : 31.0f));
  const uint16_t minimum = ToHalf(*low);
  out->Put(scale);
  out->Put(minimum);
  PutCodes(x, bits, HalfToFloat(scale), HalfToFloat(minimum), out);
}

uint16_t Load16(std::span<const std::byte> bytes, size_t at) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes.data() + at, sizeof(bits));
  return bits;
}

// One block, appended.
void DecodeBlock(TensorType type, std::span<const std::byte> block, std::vector<float>* out) {
  if (TensorBlockElements(type) == 256) return DecodeKQuant(type, block, out);
  const float d = HalfToFloat(Load16(block, 0));
  if (type == TensorType::kQ8_0) {
    for (size_t i = 0; i < 32; ++i) {
      out->push_back(d * static_cast<float>(static_cast<int8_t>(block[2 + i])));
    }
    return;
  }
  const bool has_minimum = type == TensorType::kQ4_1 || type == TensorType::kQ5_1;
  const bool five = type == TensorType::kQ5_0 || type == TensorType::kQ5_1;
  const size_t high = has_minimum ? 4 : 2;
  const size_t codes = five ? high + 4 : high;
  for (size_t i = 0; i < 32; ++i) {
    const unsigned pair = std::to_integer<unsigned>(block[codes + i % 16]);
    unsigned code = i < 16 ? pair & 15u : pair >> 4;
    if (five) code |= (std::to_integer<unsigned>(block[high + i / 8]) >> i % 8 & 1u) << 4;
    const float u = static_cast<float>(code);
    out->push_back(has_minimum ? d * u + HalfToFloat(Load16(block, 2))
                               : d * (u - (five ? 16.0f : 8.0f)));
  }
}

GgufField NumberField(const std::string& key, size_t size) {
  return {GgufFieldKind::kValue, key, 0, size};
}

}  // namespace

uint16_t ToHalf(float value) {  // round to nearest even; overflow to infinity
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x1p-14f) {  // subnormal: units of 2^-24
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f)));
  }
  int exponent = 0;
  const float fraction = std::frexp(magnitude, &exponent);                    // [0.5, 1)
  const int mantissa = static_cast<int>(std::nearbyint(fraction * 2048.0f));  // [1024, 2048]
  return static_cast<uint16_t>(sign + ((exponent + 13) << 10) + mantissa);
}

std::vector<std::byte> EncodeTensor(TensorType type, std::span<const float> values) {
  Sink out;
  if (type == TensorType::kF32) {
    out.PutBytes(std::as_bytes(values));
    return out.bytes_;
  }
  if (type == TensorType::kF16 || type == TensorType::kBF16) {
    for (const float v : values) out.Put(type == TensorType::kF16 ? ToHalf(v) : ToBfloat16(v));
    return out.bytes_;
  }
  const size_t step = static_cast<size_t>(TensorBlockElements(type));
  CHECK_EQ(values.size() % step, 0u);
  for (size_t at = 0; at < values.size(); at += step) {
    const std::span<const float> block = values.subspan(at, step);
    if (step == 256) out.PutBytes(EncodeKQuant(type, block));
    if (type == TensorType::kQ8_0) PutQ8(block, &out);
    if (type == TensorType::kQ4_0) PutSymmetric(block, 4, &out);
    if (type == TensorType::kQ5_0) PutSymmetric(block, 5, &out);
    if (type == TensorType::kQ4_1) PutWithMinimum(block, 4, &out);
    if (type == TensorType::kQ5_1) PutWithMinimum(block, 5, &out);
  }
  return out.bytes_;
}

std::vector<float> DecodeTensor(TensorType type, std::span<const std::byte> bytes) {
  std::vector<float> out;
  const size_t step = static_cast<size_t>(TensorBlockBytes(type));
  for (size_t at = 0; at < bytes.size(); at += step) {
    const std::span<const std::byte> block = bytes.subspan(at, step);
    switch (type) {
      case TensorType::kF32: {
        float value = 0;
        std::memcpy(&value, block.data(), sizeof(value));
        out.push_back(value);
        break;
      }
      case TensorType::kF16:
        out.push_back(HalfToFloat(Load16(block, 0)));
        break;
      case TensorType::kBF16:
        out.push_back(Bfloat16ToFloat(Load16(block, 0)));
        break;
      default:
        DecodeBlock(type, block, &out);
    }
  }
  return out;
}

void GgufWriter::AddRaw(const std::string& key, GgufValueType type, std::vector<std::byte> bytes) {
  entries_.push_back({key, type, std::move(bytes), {}});
}

void GgufWriter::AddString(const std::string& key, const std::string& value) {
  Sink sink;
  sink.PutString(GgufFieldKind::kStringLength, key, value);
  entries_.push_back({key, GgufValueType::kString, sink.bytes_, sink.fields_});
}

void GgufWriter::AddUint32(const std::string& key, uint32_t value) {
  Sink sink;
  sink.Put(value);
  entries_.push_back({key, GgufValueType::kUint32, sink.bytes_, {NumberField(key, 4)}});
}

void GgufWriter::AddFloat32(const std::string& key, float value) {
  Sink sink;
  sink.Put(value);
  entries_.push_back({key, GgufValueType::kFloat32, sink.bytes_, {NumberField(key, 4)}});
}

void GgufWriter::AddBool(const std::string& key, bool value) {
  Sink sink;
  sink.Put(static_cast<uint8_t>(value ? 1 : 0));
  entries_.push_back({key, GgufValueType::kBool, sink.bytes_, {NumberField(key, 1)}});
}

void GgufWriter::AddStringArray(const std::string& key, const std::vector<std::string>& values) {
  Sink sink;
  sink.PutField(GgufFieldKind::kArrayType, key, static_cast<uint32_t>(GgufValueType::kString));
  sink.PutField(GgufFieldKind::kArrayLength, key, static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) {
    sink.PutString(GgufFieldKind::kStringLength, key, value);
  }
  entries_.push_back({key, GgufValueType::kArray, sink.bytes_, sink.fields_});
}

void GgufWriter::AddInt32Array(const std::string& key, const std::vector<int32_t>& values) {
  Sink sink;
  sink.PutField(GgufFieldKind::kArrayType, key, static_cast<uint32_t>(GgufValueType::kInt32));
  sink.PutField(GgufFieldKind::kArrayLength, key, static_cast<uint64_t>(values.size()));
  sink.PutBytes(std::as_bytes(std::span(values)));
  entries_.push_back({key, GgufValueType::kArray, sink.bytes_, sink.fields_});
}

void GgufWriter::AddFloat32Array(const std::string& key, const std::vector<float>& values) {
  Sink sink;
  sink.PutField(GgufFieldKind::kArrayType, key, static_cast<uint32_t>(GgufValueType::kFloat32));
  sink.PutField(GgufFieldKind::kArrayLength, key, static_cast<uint64_t>(values.size()));
  sink.PutBytes(std::as_bytes(std::span(values)));
  entries_.push_back({key, GgufValueType::kArray, sink.bytes_, sink.fields_});
}

void GgufWriter::RemoveKey(const std::string& key) {
  CHECK_GT(std::erase_if(entries_, [&](const Entry& e) { return e.key == key; }), 0u) << key;
}

void GgufWriter::AddTensor(const std::string& name, TensorType type, std::vector<uint64_t> shape,
                           std::span<const float> values) {
  AddEncodedTensor(name, type, std::move(shape), EncodeTensor(type, values));
}

void GgufWriter::AddEncodedTensor(const std::string& name, TensorType type,
                                  std::vector<uint64_t> shape, std::vector<std::byte> data) {
  static constexpr uint32_t kIds[] = {0, 1,  30, 8,  2,  3, 6,
                                      7, 10, 11, 12, 13, 14};  // in the order of TensorType
  AddRawTensor(name, kIds[static_cast<size_t>(type)], std::move(shape), std::move(data));
}

void GgufWriter::AddRawTensor(const std::string& name, uint32_t type, std::vector<uint64_t> shape,
                              std::vector<std::byte> data) {
  tensors_.push_back({name, type, std::move(shape), std::move(data)});
}

void GgufWriter::RemoveTensor(const std::string& name) {
  CHECK_GT(std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; }), 0u) << name;
}

GgufImage GgufWriter::Build() const {
  Sink out;
  out.PutField(GgufFieldKind::kMagic, "", std::array<char, 4>{'G', 'G', 'U', 'F'});
  out.PutField(GgufFieldKind::kVersion, "", kGgufVersion);
  out.PutField(GgufFieldKind::kTensorCount, "", static_cast<uint64_t>(tensors_.size()));
  out.PutField(GgufFieldKind::kKeyCount, "", static_cast<uint64_t>(entries_.size()));
  for (const Entry& entry : entries_) {
    out.PutString(GgufFieldKind::kKeyLength, entry.key, entry.key);
    out.PutField(GgufFieldKind::kValueType, entry.key, static_cast<uint32_t>(entry.type));
    out.PutEntry(entry.bytes, entry.fields);
  }
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    out.PutString(GgufFieldKind::kNameLength, tensor.name, tensor.name);
    out.PutField(GgufFieldKind::kNumDimensions, tensor.name,
                 static_cast<uint32_t>(tensor.shape.size()));
    for (const uint64_t size : tensor.shape) {
      out.PutField(GgufFieldKind::kDimension, tensor.name, size);
    }
    out.PutField(GgufFieldKind::kTensorType, tensor.name, tensor.type);
    out.PutField(GgufFieldKind::kOffset, tensor.name, offset);
    offset += (tensor.data.size() + alignment_ - 1) / alignment_ * alignment_;
  }
  out.PadTo(alignment_);
  const size_t data_start = out.size();
  for (const Tensor& tensor : tensors_) {
    out.PutBytes(tensor.data);
    out.PadTo(alignment_);
  }
  return {std::move(out.bytes_), std::move(out.fields_), data_start};
}

void WriteBytes(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  CHECK(file.good()) << path;
}

}  // namespace intactkv::test
