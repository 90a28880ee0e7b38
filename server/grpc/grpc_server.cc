#include "server/grpc/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <optional>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/grpc/service.h"
#include "server/http/host_port.h"

namespace intactkv {
namespace {

// Limits of the wire; the request's own limits are the validator's.
constexpr int kMaxConcurrentStreams = 100;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kMaxPingStrikes = 2;
constexpr int kMaxConnectionAgeMs = 3'600'000;
constexpr char kServiceName[] = "intactkv.v1.IntactKV";

class GrpcServerImpl final : public GrpcServer {
 public:
  GrpcServerImpl(const GrpcServerOptions& options, const ServerContext* context,
                 std::function<PostFn()> make_post)
      : service_(options, context, std::move(make_post)) {}
  ~GrpcServerImpl() override { Stop(absl::Now()); }

  absl::Status Listen(const GrpcServerOptions& options) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    const std::string address = HostPort(options.host, options.port);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentStreams);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kMaxPingStrikes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kMaxConnectionAgeMs);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                               0);  // a taken port is an error, not a silent share
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return Unavailable(
          "can't listen on " + address +
          " (gRPC): is another server running there? Use --grpc-port 0 for a free port");
    }
    server_->GetHealthCheckService()->SetServingStatus(kServiceName, false);  // now it has a name
    SetServing(false);
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  int64_t num_calls() const override { return service_.num_calls(); }

  void SetServing(bool serving) override {
    // A watcher hears of changes, and gRPC would tell it the same again.
    if (server_ == nullptr || serving_ == serving) return;
    serving_ = serving;
    server_->GetHealthCheckService()->SetServingStatus(serving);  // of all names
  }

  void Stop(absl::Time deadline) override {
    if (server_ == nullptr) return;
    SetServing(false);
    server_->Shutdown(absl::ToChronoTime(deadline));
    server_->Wait();
    server_.reset();
  }

 private:
  IntactKvService service_;
  int port_ = 0;
  std::optional<bool> serving_;  // what health says
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const ServerContext* context,
                                                              std::function<PostFn()> make_post) {
  auto server = std::make_unique<GrpcServerImpl>(options, context, std::move(make_post));
  RETURN_IF_ERROR(server->Listen(options));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace intactkv
