// The whole server in this process, on free ports: a tiny random model, its real engine, both HTTP
// listeners with their real routes and, where it is built, gRPC. And the requests that tell whether
// it is unharmed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/http_server.h"
#include "server/http/router.h"
#include "server/main/serving_stack.h"
#include "server/request/encode_pool.h"
#include "server/request/server_context.h"
#include "tests/support/raw_http_client.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/server/wire/step_gate.h"

namespace intactkv::test {

inline constexpr char kWireModel[] = "tiny";
inline constexpr int kWireContext = 256;
inline constexpr int kWireVocab = 320;

// "POST <path>" with a JSON body and its length.
std::string PostRequest(std::string_view path, std::string_view body);

// Main thread only.
class WireServer {
 public:
  // `flags` of `intactkv serve`, besides the model. `model` keeps kWireVocab.
  explicit WireServer(std::vector<std::string> flags = {},
                      const TinyModelOptions& model = {.vocab = kWireVocab});
  ~WireServer();

  uint16_t api_port() const { return api_->port(); }
  uint16_t admin_port() const { return admin_->port(); }
  int grpc_port() const;  // 0 if it is not built
  const Router& api_router() const { return api_router_; }
  const Router& admin_router() const { return admin_router_; }
  int64_t stored_page_bytes() const { return stack_->plan().stored.page_bytes; }
  EngineCore& engine() { return stack_->engine(); }
  const ServerContext& context() const { return context_; }
  StepGate& gate() { return *gate_; }

  // A fixed greedy completion over more than one page. `body`: what to send, byte for byte.
  static std::string CanaryBody();
  // Its ids, from an answer; empty if it is none.
  static std::vector<int64_t> IdsOf(const RawAnswer& answer);
  // The ids of all events of a streamed one.
  static std::vector<int64_t> IdsOfStream(const RawAnswer& answer);
  // Fails the test if `answer` is not the canary's, token for token.
  void ExpectCanary(const RawAnswer& answer) const;
  // Fails the test if the canary, sent on `client` or on a new connection, gets other ids than at
  // start, or if a page is missing afterwards.
  void ExpectUnharmed(RawHttpClient* client = nullptr);
  void ExpectAllPagesBack();

  // Another client's request, which is being generated: two tokens are there, the third step waits
  // at the gate.
  class Bystander {
   public:
    explicit Bystander(WireServer& server);
    // Opens the gate, and fails the test if the answer is not what it is when nobody else is there.
    void ExpectUnharmed();

   private:
    WireServer& server_;
    RawHttpClient client_;
  };

 private:
  class Grpc;
  void Start(const std::vector<std::string>& flags, const TinyModelOptions& model);
  std::vector<int64_t> AskBystander();

  std::shared_ptr<StepGate> gate_ = std::make_shared<StepGate>();
  ServerContext context_;
  Router api_router_, admin_router_;
  std::unique_ptr<HttpServer> api_, admin_;
  std::unique_ptr<Grpc> grpc_;
  std::unique_ptr<ServingStack> stack_;
  EncodePool encoder_{2, 64};
  std::vector<int64_t> canary_ids_, bystander_ids_;
};

}  // namespace intactkv::test
