// What main hands to the front ends: the engine and its text codec once they are there, and whether
// the server is loading, ready or draining.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "engine/api/engine.h"
#include "engine/api/text_codec.h"
#include "server/request/encode_pool.h"
#include "server/request/request_error.h"
#include "server/request/validated_request.h"

namespace intactkv {

// Not owned; must outlive every listener.
struct ServingParts {
  Engine* engine = nullptr;
  const TextCodec* codec = nullptr;
  ServedModel model;
  EncodePool* encoder = nullptr;  // nullptr: encoding happens where it is asked for
};

enum class ServerState : uint8_t { kLoading, kReady, kDraining };

// Thread-safe. Lives in main, longer than all front ends.
class ServerContext {
 public:
  // kLoading -> kReady. Once.
  void Publish(ServingParts parts);
  // -> kDraining, from any state: new generations get 503, what runs goes on.
  void BeginDrain() { state_.store(ServerState::kDraining); }
  ServerState state() const { return state_.load(); }
  // nullptr while loading; never changes afterwards.
  const ServingParts* parts() const { return published_.load(); }
  // Why no generation can start now (503 loading | draining); nullopt when one can.
  std::optional<RequestError> NotReady() const;

 private:
  std::unique_ptr<const ServingParts> owned_;
  std::atomic<const ServingParts*> published_{nullptr};
  std::atomic<ServerState> state_{ServerState::kLoading};
};

}  // namespace intactkv
