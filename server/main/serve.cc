#include "server/main/serve.h"

#include <malloc.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/json_log.h"
#include "engine/base/monotonic_time.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "server/http/host_port.h"
#include "server/http/http_server.h"
#include "server/main/machine.h"
#include "server/main/serving_stack.h"
#include "server/metrics/metrics.h"
#include "server/openai/api_routes.h"
#include "server/request/encode_pool.h"
#include "server/request/refuse_early.h"
#include "server/request/server_context.h"
#ifdef INTACTKV_WITH_GRPC
#include "server/grpc/grpc_server.h"
#endif

namespace intactkv {
namespace {

// Probes, a scraper, an operator: no more than these may hold descriptors.
constexpr size_t kAdminConnections = 64;
// What a reader gets at the end, however late it is: for a whole answer, or for the news that there
// will be none.
constexpr absl::Duration kLeastReadTime = absl::Seconds(5);
constexpr absl::Duration kHurriedReadTime = absl::Seconds(1);
// So that one long prompt does not hold up the short ones.
constexpr int kEncodeThreads = 2;

void Print(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void PrintListening(const char* what, const std::string& host, int port) {
  Print("listening " + std::string(what) + " " + HostPort(host, port));
}

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

bool CameWithin50Ms(const sigset_t& signals) {
  const timespec wait{0, 50'000'000};
  return sigtimedwait(&signals, nullptr, &wait) > 0;
}

// Few arenas, and large blocks straight from the kernel: what is freed goes back, so that resident
// memory stays near the plan.
void TameAllocator() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

// The front ends of one server. Members are destroyed in reverse: what posts goes before what is
// posted to.
class Server {
 public:
  explicit Server(const ServerConfig& config)
      : config_(config),
        loading_metrics_([] { return std::nullopt; },
                         {.version = INTACTKV_VERSION, .model_name = config.model_name}),
        encoder_(kEncodeThreads, static_cast<size_t>(config.max_queue)) {}
  ~Server() {
    if (stack_ != nullptr) stack_->engine().Stop();
    CloseWires(absl::Now());
  }

  absl::Status Run();

 private:
  absl::Status Listen();
  absl::Status ListenHttp(std::unique_ptr<HttpServer>& server, uint16_t port, bool is_admin);
  absl::Status ListenGrpc();
  std::vector<ListenerStats> Listeners() const;
  absl::Status Load();
  bool DrainEngine(const sigset_t& signals, absl::Time deadline);
  size_t NumUnread() const;
  void AwaitReaders(const sigset_t& signals, absl::Time deadline);
  void Drain(const sigset_t& signals);
  void CloseWires(absl::Time deadline);

  const ServerConfig& config_;
  const int64_t descriptors_ = RaiseDescriptorLimit();
  ServerContext context_;
  const Metrics loading_metrics_;
  std::unique_ptr<Metrics> metrics_;
  std::atomic<const Metrics*> published_metrics_{&loading_metrics_};
  boost::asio::thread_pool grpc_posts_{1};
  std::unique_ptr<HttpServer> api_, admin_;
#ifdef INTACTKV_WITH_GRPC
  std::unique_ptr<GrpcServer> grpc_;
#endif
  std::unique_ptr<ServingStack> stack_;
  EncodePool encoder_;
};

absl::Status Server::ListenHttp(std::unique_ptr<HttpServer>& server, uint16_t port, bool is_admin) {
  ApiOptions api;
  api.version = INTACTKV_VERSION;
  api.request_timeout = config_.request_timeout;
  api.render_metrics = [this] { return published_metrics_.load()->Render(); };
  Router router;
  if (is_admin) {
    AddAdminRoutes(router, context_, api);
  } else {
    AddApiRoutes(router, context_, api);
  }
  HttpServerOptions options;
  options.host = is_admin ? config_.admin_host : config_.host;
  options.port = port;
  options.io_threads = 2;
  options.max_connections =
      is_admin ? kAdminConnections : ApiConnectionsFor(descriptors_, options.max_connections);
  if (!is_admin) {
    Print("connections at most " + std::to_string(options.max_connections) + " to the API (" +
          std::to_string(descriptors_) + " open files are allowed)");
  }
  server = std::make_unique<HttpServer>(options, std::move(router));
  RETURN_IF_ERROR(server->Start());
  PrintListening(is_admin ? "admin" : "http", options.host, server->port());
  return absl::OkStatus();
}

absl::Status Server::ListenGrpc() {
#ifdef INTACTKV_WITH_GRPC
  GrpcServerOptions options;
  options.host = config_.grpc_host;
  options.port = config_.grpc_port;
  options.server_version = INTACTKV_VERSION;
  options.weights = std::string(Name(config_.weights));
  options.activations = std::string(Name(config_.activations));
  options.pin_dtype = std::string(Name(config_.pin_dtype));
  options.max_running = config_.max_running;
  options.max_queue = config_.max_queue;
  options.max_tokens_per_step = config_.max_tokens_per_step;
  options.request_timeout = config_.request_timeout;
  const auto make_post = [this]() -> PostFn {
    auto strand = boost::asio::make_strand(grpc_posts_);
    return [strand](std::function<void()> work) { boost::asio::post(strand, std::move(work)); };
  };
  ASSIGN_OR_RETURN(grpc_, GrpcServer::Start(options, &context_, make_post));
  PrintListening("grpc", options.host, grpc_->port());
#endif
  return absl::OkStatus();
}

absl::Status Server::Listen() {
  RETURN_IF_ERROR(ListenHttp(api_, config_.port, /*is_admin=*/false));
  RETURN_IF_ERROR(ListenHttp(admin_, config_.admin_port, /*is_admin=*/true));
  return ListenGrpc();
}

std::vector<ListenerStats> Server::Listeners() const {
  std::vector<ListenerStats> all;
  for (const auto& [name, server] :
       {std::pair("api", api_.get()), std::pair("admin", admin_.get())}) {
    all.push_back({name, static_cast<int64_t>(server->num_connections()),
                   static_cast<int64_t>(server->accept_failures())});
  }
  return all;
}

absl::Status Server::Load() {
  StackHooks hooks;
  hooks.print = Print;
  ASSIGN_OR_RETURN(stack_, ServingStack::Build(config_, hooks));
  stack_->engine().Start();
  MetricsFacts facts;
  facts.version = INTACTKV_VERSION;
  facts.model_name = config_.model_name;
  facts.weights_bytes[std::string(Name(config_.weights))] = stack_->plan().weights_bytes;
  facts.planned_bytes = stack_->plan().total_bytes();
  metrics_ = std::make_unique<Metrics>([engine = &stack_->engine()] { return engine->Stats(); },
                                       std::move(facts), [this] { return Listeners(); });
  published_metrics_.store(metrics_.get());
  ServingParts parts;
  parts.engine = &stack_->engine();
  parts.codec = &stack_->codec();
  parts.model = {config_.model_name,
                 stack_->max_model_len(),
                 stack_->codec().vocab_size(),
                 absl::ToUnixSeconds(absl::Now()),
                 LongestTokenBytes(stack_->codec()),
                 stack_->stored_formats().name};
  parts.encoder = &encoder_;
  context_.Publish(parts);
#ifdef INTACTKV_WITH_GRPC
  grpc_->SetServing(true);
#endif
  return absl::OkStatus();
}

// New generations get 503; running ones finish until `deadline` or the second signal. True: that
// came.
bool Server::DrainEngine(const sigset_t& signals, absl::Time deadline) {
  Print("draining: running requests finish within " + absl::FormatDuration(config_.drain_timeout) +
        "; a second signal ends them now");
  context_.BeginDrain();
#ifdef INTACTKV_WITH_GRPC
  grpc_->SetServing(false);
#endif
  Notification drained;
  std::thread drain([&] {
    stack_->engine().Drain(deadline);
    drained.Notify();
  });
  bool hurried = false;
  while (!drained.HasBeenNotified()) {
    if (!CameWithin50Ms(signals)) continue;
    Print("second signal: ending what still runs");
    hurried = true;
    stack_->engine().Drain(MonotonicNow());
  }
  drain.join();
  return hurried;
}

size_t Server::NumUnread() const {
  size_t count = api_->num_connections();
#ifdef INTACTKV_WITH_GRPC
  count += static_cast<size_t>(grpc_->num_calls());
#endif
  return count;
}

// Answers are generated faster than they are read: their readers get what is left of the drain's
// time, on both wires alike.
void Server::AwaitReaders(const sigset_t& signals, absl::Time deadline) {
  api_->BeginStop();
  while (NumUnread() > 0 && MonotonicNow() < deadline) {
    if (!CameWithin50Ms(signals)) continue;
    Print("second signal: ending what is still read");
    return;
  }
}

void Server::Drain(const sigset_t& signals) {
  const absl::Time deadline = MonotonicNow() + config_.drain_timeout;
  const bool hurried = DrainEngine(signals, deadline);
  const absl::Time now = MonotonicNow();
  AwaitReaders(signals,
               hurried ? now + kHurriedReadTime : std::max(deadline, now + kLeastReadTime));
}

void Server::CloseWires(absl::Time deadline) {
#ifdef INTACTKV_WITH_GRPC
  if (grpc_ != nullptr) grpc_->Stop(deadline);
#endif
  if (api_ != nullptr) api_->Stop(deadline);
  if (admin_ != nullptr) admin_->Stop(deadline);
  encoder_.Stop();
  grpc_posts_.join();
}

absl::Status Server::Run() {
  const sigset_t signals = StopSignals();
  RETURN_IF_ERROR(Listen());
  // While the model loads nothing runs that a stop could harm.
  std::atomic<bool> loading{true}, stop_requested{false};
  std::thread early([&] {
    while (loading.load()) {
      if (!CameWithin50Ms(signals)) continue;
      if (!loading.load()) {
        stop_requested.store(true);  // it came just as loading ended: a stop like any other
        return;
      }
      Print("stopped while loading");
      (void)FlushLog(absl::Seconds(1));
      std::_Exit(0);
    }
  });
  const absl::Status loaded = Load();
  loading.store(false);
  early.join();
  RETURN_IF_ERROR(loaded);
  Print("ready");
  int signal = 0;
  if (!stop_requested.load()) sigwait(&signals, &signal);
  Drain(signals);
  CloseWires(absl::Now() + kHurriedReadTime);
  stack_->engine().Stop();
  Print("stopped");
  return absl::OkStatus();
}

}  // namespace

absl::Status RunServer(const ServerConfig& config) {
  TameAllocator();
  const sigset_t signals = StopSignals();
  // Before any thread starts, so that all inherit the mask and the signals come to sigwait alone.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Server server(config);
  return server.Run();
}

}  // namespace intactkv
