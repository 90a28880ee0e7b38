#include "server/grpc/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <atomic>
#include <utility>

#include "engine/base/status_macros.h"
#include "intactkv/v1/intactkv.grpc.pb.h"
#include "server/grpc/generate_reactor.h"
#include "server/grpc/message_bytes.h"
#include "server/http/host_port.h"

namespace intactkv {
namespace {

// Limits of the wire; the request's own limits are the validator's.
constexpr int kMaxMessageBytes = 4 << 20;
constexpr int kMaxConcurrentStreams = 100;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kMaxPingStrikes = 2;
constexpr int kMaxConnectionAgeMs = 3'600'000;
constexpr char kServiceName[] = "intactkv.v1.IntactKV";

// Both methods take and give bytes, see message_bytes.h.
using RawService = v1::IntactKV::WithRawCallbackMethod_Generate<
    v1::IntactKV::WithRawCallbackMethod_GetModelInfo<v1::IntactKV::Service>>;

class Service final : public RawService {
 public:
  Service(GrpcServerOptions options, const ServerContext* context,
          std::function<PostFn()> make_post)
      : options_(std::move(options)), context_(context), make_post_(std::move(make_post)) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* call,
                                                       const grpc::ByteBuffer* request) override {
    // gRPC hands its own, mutable buffer out as const; emptied, it does not live as long as the
    // call.
    return GenerateReactor::Create(
        {context_, options_.request_timeout, options_.send_stall, &num_calls_}, make_post_(), call,
        const_cast<grpc::ByteBuffer&>(*request));
  }

  int64_t num_calls() const { return num_calls_.load(); }

  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* call,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    const RequestOr<v1::ModelInfo> info = Describe(*request);
    if (info.ok()) *response = ToBytes(*info);
    reactor->Finish(info.ok() ? grpc::Status::OK : FailCall(*call, info.error()));
    return reactor;
  }

 private:
  RequestOr<v1::ModelInfo> Describe(const grpc::ByteBuffer& bytes) const {
    const ServingParts* parts = context_->parts();
    if (parts == nullptr) return LoadingError();
    v1::GetModelInfoRequest request;
    if (std::optional<RequestError> malformed = ParseMessage(bytes, request)) return *malformed;
    if (request.has_model() && request.model() != parts->model.name) return ModelNotFound();
    v1::ModelInfo info;
    info.set_id(parts->model.name);
    info.set_created(parts->model.created_unix_seconds);
    info.set_max_model_len(parts->model.max_model_len);
    info.set_vocab_size(parts->model.vocab_size);
    info.set_weights(options_.weights);
    info.set_kv(parts->model.stored_format);
    info.set_server_version(options_.server_version);
    return info;
  }

  const GrpcServerOptions options_;
  const ServerContext* const context_;
  const std::function<PostFn()> make_post_;
  std::atomic<int64_t> num_calls_{0};
};

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
    SetServing(false);
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  int64_t num_calls() const override { return service_.num_calls(); }

  void SetServing(bool serving) override {
    if (server_ == nullptr) return;
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    health->SetServingStatus(serving);
    health->SetServingStatus(kServiceName, serving);
  }

  void Stop(absl::Time deadline) override {
    if (server_ == nullptr) return;
    SetServing(false);
    server_->Shutdown(absl::ToChronoTime(deadline));
    server_->Wait();
    server_.reset();
  }

 private:
  Service service_;
  int port_ = 0;
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
