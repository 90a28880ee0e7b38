#include "server/request/server_context.h"

#include "engine/base/check.h"

namespace intactkv {

void ServerContext::Publish(ServingParts parts) {
  CHECK(owned_ == nullptr) << "Publish is called once";
  CHECK(parts.engine != nullptr && parts.codec != nullptr);
  owned_ = std::make_unique<const ServingParts>(std::move(parts));
  published_.store(owned_.get());
  ServerState loading = ServerState::kLoading;  // a drain that came first stays
  state_.compare_exchange_strong(loading, ServerState::kReady);
}

std::optional<RequestError> ServerContext::NotReady() const {
  switch (state()) {
    case ServerState::kLoading:
      return LoadingError();
    case ServerState::kDraining:
      return DrainingError();
    case ServerState::kReady:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace intactkv
