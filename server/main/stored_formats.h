// Which format the stored KV pages of each layer get: the flags' words and the model's family.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/quant/page_format.h"
#include "server/config/server_config.h"

namespace intactkv {

struct StoredFormatChoice {
  std::vector<KvFormat> layers;
  std::string name;                   // "int8", or by layers: "0-3 bf16, 4-29 int8"
  std::string reason;                 // where it comes from, for the start-up lines
  std::vector<std::string> warnings;  // one line per format that the family's table speaks against
};

// Errors: those of FormatsOfLayers, behind the flag's name.
absl::StatusOr<StoredFormatChoice> ChooseStoredFormats(const ServerConfig& config,
                                                       std::string_view architecture,
                                                       int num_layers);

}  // namespace intactkv
