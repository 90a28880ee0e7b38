// A request between acceptance and OnFinish, as EngineCore sees it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/api/engine.h"

namespace intactkv {

// Shared by the engine and the handles, which may outlive it. A flag cannot be lost in a full
// queue. Thread-safe.
struct CancelSignal {
  std::atomic<bool> any{false};  // some request's flag may be newly set
};
struct RequestControl {
  std::shared_ptr<CancelSignal> signal;
  std::atomic<bool> cancelled{false};
  std::atomic<bool> stopped{false};  // with `cancelled`: the client has its whole answer
};

// Engine thread only.
struct LiveRequest {
  std::string request_id;  // the front end's
  std::unique_ptr<TokenSink> sink;
  std::shared_ptr<RequestControl> control;
  absl::Time submitted;
  std::optional<absl::Time> admitted;
  std::optional<absl::Time> first_token;
  std::vector<std::optional<absl::Time>> last_token;  // [n]
  absl::Duration itl_sum;
  int64_t num_itl = 0;
};

}  // namespace intactkv
