#include "tests/unit/server/wire/wire_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/json/parse.hpp>
#include <cstdio>
#include <utility>

#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/page_entry.h"
#include "server/openai/api_routes.h"
#include "server/request/refuse_early.h"
#ifdef INTACTKV_WITH_GRPC
#include "server/grpc/grpc_server.h"
#endif

namespace intactkv::test {
namespace {

namespace json = boost::json;

constexpr char kBystanderBody[] =
    R"({"model":"tiny","messages":[{"role":"user","content":"Are you still there?"}],)"
    R"("max_tokens":8,"temperature":0,"ignore_eos":true,"return_token_ids":true,"stream":true})";

void AppendIds(const json::value& answer, std::vector<int64_t>& ids) {
  const json::object* object = answer.if_object();
  const json::value* choices = object == nullptr ? nullptr : object->if_contains("choices");
  if (choices == nullptr) return;
  for (const json::value& choice : choices->as_array()) {
    const json::value* tokens = choice.as_object().if_contains("token_ids");
    if (tokens == nullptr) continue;
    for (const json::value& id : tokens->as_array()) ids.push_back(id.as_int64());
  }
}

}  // namespace

std::string PostRequest(std::string_view path, std::string_view body) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

#ifdef INTACTKV_WITH_GRPC
class WireServer::Grpc {
 public:
  explicit Grpc(const ServerContext* context) {
    auto started = GrpcServer::Start({}, context, [this]() -> PostFn {
      auto strand = boost::asio::make_strand(posts_);
      return [strand](std::function<void()> work) { boost::asio::post(strand, std::move(work)); };
    });
    CHECK(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  ~Grpc() {
    Stop();
    posts_.join();
  }
  void Stop() { server_->Stop(absl::Now()); }
  int port() const { return server_->port(); }

 private:
  boost::asio::thread_pool posts_{1};
  std::unique_ptr<GrpcServer> server_;
};
int WireServer::grpc_port() const { return grpc_->port(); }
#else
class WireServer::Grpc {};
int WireServer::grpc_port() const { return 0; }
#endif

WireServer::WireServer(std::vector<std::string> flags, const TinyModelOptions& model) {
  Start(flags, model);
  RawHttpClient client(api_port());
  client.Send(PostRequest("/v1/completions", CanaryBody()));
  canary_ids_ = IdsOf(client.Read());
  CHECK_EQ(canary_ids_.size(), 8u);
  bystander_ids_ = AskBystander();
  CHECK_EQ(bystander_ids_.size(), 8u);
}

WireServer::~WireServer() {
  gate_->Open();
  stack_->engine().Stop();
  // First what asks for work, then what does it, then what it answers to.
  api_->Stop(absl::Now());
#ifdef INTACTKV_WITH_GRPC
  grpc_->Stop();
#endif
  encoder_.Stop();
  grpc_.reset();
  api_.reset();
  admin_.reset();
}

void WireServer::Start(const std::vector<std::string>& flags, const TinyModelOptions& model) {
  const std::string path =
      testing::TempDir() + "/wire_server_" + std::to_string(::getpid()) + ".gguf";
  CHECK_EQ(model.vocab, kWireVocab);
  WriteTinyModel(path, model);
  std::vector<std::string> args = {
      "--model", path, "--model-name", kWireModel, "--max-model-len", std::to_string(kWireContext)};
  args.insert(args.end(), flags.begin(), flags.end());
  if (std::ranges::find(flags, "--threads") == flags.end()) {
    args.insert(args.end(), {"--threads", "1"});
  }
  // The environment is left out: a test serves what it names.
  const auto config = ParseServeFlags(args, [](const std::string&) { return std::nullopt; });
  CHECK(config.ok()) << config.status();
  StackHooks hooks;
  hooks.decorate = [gate = gate_](std::unique_ptr<Executor> executor) {
    return std::make_unique<GatedExecutor>(std::move(executor), gate);
  };
  auto stack = ServingStack::Build(*config, hooks);
  std::remove(path.c_str());
  CHECK(stack.ok()) << stack.status();
  stack_ = *std::move(stack);
  stack_->engine().Start();
  context_.Publish({&stack_->engine(),
                    &stack_->codec(),
                    {kWireModel, kWireContext, kWireVocab, 1, LongestTokenBytes(stack_->codec()),
                     stack_->stored_formats().name},
                    &encoder_});
  ApiOptions api;
  api.version = "test";
  api.log_requests = false;
  api.render_metrics = [] { return std::string("up 1\n"); };
  AddApiRoutes(api_router_, context_, api);
  AddAdminRoutes(admin_router_, context_, api);
  api_ = std::make_unique<HttpServer>(HttpServerOptions{}, api_router_);
  admin_ = std::make_unique<HttpServer>(HttpServerOptions{}, admin_router_);
  CHECK(api_->Start().ok());
  CHECK(admin_->Start().ok());
#ifdef INTACTKV_WITH_GRPC
  grpc_ = std::make_unique<Grpc>(&context_);
#endif
}

std::string WireServer::CanaryBody() {
  return R"({"model":"tiny","prompt":"The canary sings in the mine, and the miners hear it sing. When it )"
         R"(falls silent they leave, and nobody asks them why they came up so early.",)"
         R"("max_tokens":8,"temperature":0,"ignore_eos":true,"return_token_ids":true})";
}

std::vector<int64_t> WireServer::IdsOf(const RawAnswer& answer) {
  std::vector<int64_t> ids;
  json::error_code error;
  const json::value value = json::parse(answer.body, error);
  if (answer.status == 200 && !error) AppendIds(value, ids);
  return ids;
}

std::vector<int64_t> WireServer::IdsOfStream(const RawAnswer& answer) {
  constexpr std::string_view kData = "data: ";
  std::vector<int64_t> ids;
  std::string_view body = answer.body;
  while (body.starts_with(kData)) {
    const size_t end = body.find("\n\n");
    const std::string_view event = body.substr(kData.size(), end - kData.size());
    json::error_code not_json;  // [DONE] is none
    AppendIds(json::parse({event.data(), event.size()}, not_json), ids);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 2);
  }
  return ids;
}

void WireServer::ExpectCanary(const RawAnswer& answer) const {
  EXPECT_EQ(IdsOf(answer), canary_ids_) << "the canary: " << answer.status << " " << answer.body;
}

void WireServer::ExpectUnharmed(RawHttpClient* client) {
  std::optional<RawHttpClient> fresh;
  if (client == nullptr) client = &fresh.emplace(api_port());
  client->Send(PostRequest("/v1/completions", CanaryBody()));
  ExpectCanary(client->Read());
  ExpectAllPagesBack();
}

void WireServer::ExpectAllPagesBack() {
  const absl::StatusOr<AuditReport> report = engine().Audit();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->problems.empty()) << report->problems.front();
  for (size_t i = 0; i < report->pages.size(); ++i) {
    const PageCounts& pages = report->pages[i];
    EXPECT_EQ(report->unaccounted[i], 0) << "page class " << i;
    EXPECT_EQ(pages.owned, 0) << "page class " << i;
    EXPECT_EQ(pages.free + pages.cached + pages.pinned, pages.total) << "page class " << i;
  }
}

std::vector<int64_t> WireServer::AskBystander() {
  RawHttpClient client(api_port());
  client.Send(PostRequest("/v1/chat/completions", kBystanderBody));
  return IdsOfStream(client.Read());
}

WireServer::Bystander::Bystander(WireServer& server) : server_(server), client_(server.api_port()) {
  server.gate().CloseAfter(2);
  client_.Send(PostRequest("/v1/chat/completions", kBystanderBody));
  server.gate().AwaitHeld();
}

void WireServer::Bystander::ExpectUnharmed() {
  server_.gate().Open();
  EXPECT_EQ(IdsOfStream(client_.Read()), server_.bystander_ids_) << "another client's answer";
}

}  // namespace intactkv::test
