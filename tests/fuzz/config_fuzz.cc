// Any text as config.json: read it as a model's configuration. Must not crash; an error must be one
// line; what is accepted keeps the limits of ModelConfig.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/checkpoint/directory_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<intactkv::ModelConfig> config =
      intactkv::ReadDirectoryConfig("config.json", text);
  if (!config.ok()) {
    CHECK(intactkv::ToStd(config.status().message()).find('\n') == std::string_view::npos);
    return 0;
  }
  CHECK(config->hidden % 32 == 0 && config->ffn % 32 == 0 && config->head_dim % 32 == 0);
  CHECK(config->head_dim >= 32 && config->head_dim <= 256);
  CHECK(config->num_q_heads % config->num_kv_heads == 0);
  CHECK_EQ(config->rope_inv_freq.size(), static_cast<size_t>(config->head_dim) / 2);
  for (const float frequency : config->rope_inv_freq) CHECK(std::isfinite(frequency));
  return 0;
}
