// `intactkv serve`: listeners, signals, start-up report, drain.
#pragma once

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace intactkv {

// Serves until SIGTERM or SIGINT, then drains: OK. A second signal hurries. Errors before `ready`:
// what is wrong with flags, model or machine, in one line.
absl::Status RunServer(const ServerConfig& config);

}  // namespace intactkv
