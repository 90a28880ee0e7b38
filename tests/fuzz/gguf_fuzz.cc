// Any bytes as a model file: parse, read every key and every byte of every tensor, read the
// configuration, describe. Must not crash, and an error must be one line.
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/gguf.h"
#include "engine/model/inspect.h"
#include "engine/model/model_config.h"

namespace {

void CheckError(const absl::Status& status) {
  CHECK(intactkv::ToStd(status.message()).find('\n') == std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::byte> bytes(size);  // aligned, and its end is watched by the sanitizer
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const absl::StatusOr<intactkv::GgufFile> file = intactkv::GgufFile::Parse(bytes, "fuzz");
  if (!file.ok()) {
    CheckError(file.status());
    return 0;
  }
  for (const std::string& key : file->Keys()) {
    (void)file->GetStringArray(key);
    (void)file->GetIntArray(key);
    (void)file->GetFloatArray(key);
    (void)file->GetInt(key);
  }
  size_t used = 0, sum = 0;
  for (const intactkv::WeightTensor& tensor : file->tensors()) {
    used += tensor.data.size();
    for (const std::byte b : tensor.data) sum += static_cast<size_t>(b);
  }
  CHECK(used <= size && sum <= used * 255) << "tensors lie in the file, apart from each other";
  const absl::StatusOr<intactkv::ModelConfig> config = intactkv::ReadModelConfig(*file);
  if (config.ok()) {
    (void)intactkv::DescribeModel(*file, *config);
    (void)intactkv::ModelIdentity(*file, *config);
  } else {
    CheckError(config.status());
  }
  return 0;
}
