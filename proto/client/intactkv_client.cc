#include "proto/client/intactkv_client.h"

#include <grpcpp/grpcpp.h>

#include <string_view>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "intactkv/v1/intactkv.grpc.pb.h"

namespace intactkv {
namespace {

// Trailing metadata of a failed call; payloads of its status go by the same names.
constexpr char kErrorCode[] = "intactkv-error-code";
constexpr char kErrorParam[] = "intactkv-error-param";
// A whole answer with log probabilities may be large; the server limits it by its context.
constexpr int kMaxAnswerBytes = -1;

void SetDeadline(grpc::ClientContext& context, const CallOptions& options) {
  if (options.timeout == absl::InfiniteDuration()) return;
  context.set_deadline(absl::ToChronoTime(absl::Now() + options.timeout));
}

absl::Status ToStatus(const grpc::ClientContext& context, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const auto& trailers = context.GetServerTrailingMetadata();
  for (const char* name : {kErrorCode, kErrorParam}) {
    const auto found = trailers.find(name);
    if (found == trailers.end()) continue;
    // Not from a std::string: the distribution's library has that constructor for one compiler
    // only.
    out.SetPayload(name, absl::Cord(absl::string_view(found->second.data(), found->second.size())));
  }
  return out;
}

std::string Payload(const absl::Status& status, const char* name) {
  const auto payload = status.GetPayload(name);
  return payload.has_value() ? std::string(*payload) : "";
}

}  // namespace

std::string ErrorCode(const absl::Status& status) { return Payload(status, kErrorCode); }
std::string ErrorParam(const absl::Status& status) { return Payload(status, kErrorParam); }

struct TextStream::Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader;
  std::optional<absl::Status> end;
};

TextStream::TextStream(std::unique_ptr<Call> call) : call_(std::move(call)) {}
TextStream::TextStream(TextStream&&) noexcept = default;

TextStream& TextStream::operator=(TextStream&& other) noexcept {
  TextStream old(std::move(*this));  // ends what it had
  call_ = std::move(other.call_);
  return *this;
}

TextStream::~TextStream() {
  if (call_ == nullptr) return;
  Cancel();
  (void)Finish();
}

std::optional<v1::GenerateResponse> TextStream::Next() {
  v1::GenerateResponse message;
  if (call_->end.has_value() || !call_->reader->Read(&message)) return std::nullopt;
  return message;
}

absl::Status TextStream::Finish() {
  if (!call_->end.has_value()) {
    for (v1::GenerateResponse rest; call_->reader->Read(&rest);) {
    }
    const grpc::Status status = call_->reader->Finish();
    call_->end = ToStatus(call_->context, status);
  }
  return *call_->end;
}

void TextStream::Cancel() { call_->context.TryCancel(); }

struct Client::Connection {
  std::unique_ptr<v1::IntactKV::Stub> stub;

  template <typename Request, typename Response>
  absl::StatusOr<Response> Ask(grpc::Status (v1::IntactKV::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                               const Request& request, const CallOptions& options) {
    grpc::ClientContext context;
    SetDeadline(context, options);
    Response response;
    const grpc::Status status = ((*stub).*method)(&context, request, &response);
    if (!status.ok()) return ToStatus(context, status);
    return response;
  }
};

Client::Client(const std::string& address) : connection_(std::make_unique<Connection>()) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  connection_->stub = v1::IntactKV::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

TextStream Client::Generate(const v1::GenerateRequest& request, CallOptions options) {
  auto call = std::make_unique<TextStream::Call>();
  SetDeadline(call->context, options);
  call->reader = connection_->stub->Generate(&call->context, request);
  return TextStream(std::move(call));
}

absl::StatusOr<v1::GenerateUnaryResponse> Client::GenerateUnary(const v1::GenerateRequest& request,
                                                                CallOptions options) {
  return connection_->Ask(&v1::IntactKV::Stub::GenerateUnary, request, options);
}

absl::Status Client::Abort(const std::string& request_id, CallOptions options) {
  v1::AbortRequest request;
  request.set_request_id(request_id);
  return connection_->Ask(&v1::IntactKV::Stub::Abort, request, options).status();
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(const v1::TokenizeRequest& request,
                                                      CallOptions options) {
  return connection_->Ask(&v1::IntactKV::Stub::Tokenize, request, options);
}

absl::StatusOr<v1::DetokenizeResponse> Client::Detokenize(const v1::DetokenizeRequest& request,
                                                          CallOptions options) {
  return connection_->Ask(&v1::IntactKV::Stub::Detokenize, request, options);
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo(CallOptions options) {
  return connection_->Ask(&v1::IntactKV::Stub::GetServerInfo, v1::GetServerInfoRequest(), options);
}

}  // namespace intactkv
