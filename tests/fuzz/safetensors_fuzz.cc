// Any bytes as a safetensors file: parse, read every byte of every tensor. Must not crash, and an
// error must be one line.
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::byte> bytes(size);  // its end is watched by the sanitizer
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const absl::StatusOr<intactkv::SafetensorsFile> file =
      intactkv::SafetensorsFile::Parse(bytes, "fuzz");
  if (!file.ok()) {
    CHECK(intactkv::ToStd(file.status().message()).find('\n') == std::string_view::npos);
    return 0;
  }
  size_t used = 0, sum = 0;
  for (const intactkv::SafetensorsTensor& tensor : file->tensors()) {
    used += tensor.data.size();
    for (const std::byte b : tensor.data) sum += static_cast<size_t>(b);
  }
  CHECK(used < size) << "the tensors fill what is behind the header";
  CHECK(sum <= used * 255);
  return 0;
}
