#include "tests/support/safetensors_writer.h"

#include "engine/model/gguf.h"
#include "tests/support/gguf_writer.h"

namespace intactkv::test {

void SafetensorsWriter::AddTensor(const std::string& name, TensorType type,
                                  const std::vector<int64_t>& shape,
                                  std::span<const float> values) {
  const std::vector<std::byte> bytes = EncodeTensor(type, values);
  std::string sizes;
  for (const int64_t size : shape) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
  AddRawEntry(name, "{\"dtype\":\"" + std::string(TensorTypeName(type)) + "\",\"shape\":[" + sizes +
                        "],\"data_offsets\":[" + std::to_string(data_.size()) + "," +
                        std::to_string(data_.size() + bytes.size()) + "]}");
  data_.insert(data_.end(), bytes.begin(), bytes.end());
}

SafetensorsImage SafetensorsWriter::Build() const {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  for (const Entry& entry : entries_) header += ",\"" + entry.name + "\":" + entry.json;
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return {SafetensorsBytes(header, data_), sizeof(uint64_t) + header.size()};
}

std::vector<std::byte> SafetensorsBytes(const std::string& header,
                                        std::span<const std::byte> data) {
  const uint64_t length = header.size();
  std::vector<std::byte> out;
  for (const std::span<const std::byte> part :
       {std::as_bytes(std::span(&length, 1)), std::as_bytes(std::span(header)), data}) {
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

}  // namespace intactkv::test
