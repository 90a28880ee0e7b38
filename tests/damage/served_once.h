// What `intactkv serve` does with a model, up to the end of one answer, in this process.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace intactkv::test {

struct ServedOnce {
  absl::Status loaded;  // of the whole start, pins included
  // Only if it loaded: a request was taken and came to its end. Numbers of a damaged file may make
  // logits that are none; then the request fails, by name, and alone.
  bool answered = false;
};

// Starts a server's stack on the model at `path`, asks it for four tokens and takes it down.
ServedOnce ServeOnce(const std::string& path);

}  // namespace intactkv::test
