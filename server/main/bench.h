// `intactkv bench`: prefill and decode speed of this build on this machine, through the engine,
// without a wire.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace intactkv {

struct BenchOptions {
  int32_t prompt_tokens = 512;  // computed, beside what is pinned
  int32_t decode_tokens = 128;
  int32_t repeats = 5;
};

// Prints one line per repeat and the medians. The first, unmeasured repeat warms up.
absl::Status RunBench(ServerConfig config, const BenchOptions& options);

}  // namespace intactkv
