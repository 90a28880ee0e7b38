#include "server/grpc/service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/grpc/describe_server.h"
#include "server/grpc/generate_reactor.h"
#include "server/grpc/message_bytes.h"
#include "server/grpc/unary_reactor.h"
#include "server/request/encode_pool.h"
#include "server/request/text_request.h"

namespace intactkv {
namespace {

// gRPC hands its own, mutable buffer out as const; emptied, it does not live as long as the call.
grpc::ByteBuffer& Mutable(const grpc::ByteBuffer* request) {
  return const_cast<grpc::ByteBuffer&>(*request);
}

template <typename Message>
void Answer(grpc::CallbackServerContext& call, const RequestOr<Message>& answer,
            grpc::ByteBuffer* response, grpc::ServerUnaryReactor* reactor) {
  if (answer.ok()) *response = ToBytes(*answer);
  reactor->Finish(answer.ok() ? grpc::Status::OK : FailCall(call, answer.error()));
}

template <typename Message>
grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* call,
                                    const RequestOr<Message>& answer, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  Answer(*call, answer, response, reactor);
  return reactor;
}

// Text work is possible while draining, not while loading. `Message` names its model.
template <typename Message>
std::optional<RequestError> ReadTextRequest(const ServerContext& context,
                                            const grpc::ByteBuffer& bytes, Message& message) {
  const ServingParts* parts = context.parts();
  if (parts == nullptr) return LoadingError();
  if (std::optional<RequestError> malformed = ParseMessage(bytes, message)) return malformed;
  if (!message.has_model()) return std::nullopt;
  return CheckModelName(message.model(), parts->model);
}

// `work` makes the answer, on the pool.
template <typename Message>
grpc::ServerUnaryReactor* AnswerFromPool(const ServingParts& parts, const PostFn& post,
                                         grpc::CallbackServerContext* call,
                                         grpc::ByteBuffer* response,
                                         std::function<RequestOr<Message>()> work) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  TextWork answer = [call, response, reactor, work = std::move(work)]() -> std::function<void()> {
    return [call, response, reactor, answer = work()] { Answer(*call, answer, response, reactor); };
  };
  if (!RunTextWork(parts.encoder, post, std::move(answer))) {
    reactor->Finish(FailCall(*call, QueueFullError()));
  }
  return reactor;
}

RequestOr<v1::TokenizeResponse> TokenizeAnswer(const TokenizeInput& input,
                                               const ServingParts& parts) {
  const RequestOr<std::vector<TokenId>> ids = TokenizeText(input, *parts.codec);
  if (!ids.ok()) return ids.error();
  v1::TokenizeResponse answer;
  for (const TokenId id : *ids) answer.add_tokens(id.value);
  answer.set_count(static_cast<int32_t>(ids->size()));
  answer.set_max_model_len(parts.model.max_model_len);
  return answer;
}

RequestOr<v1::DetokenizeResponse> DetokenizeAnswer(const std::vector<TokenId>& tokens,
                                                   const TextCodec& codec) {
  RequestOr<std::string> text = DetokenizeText(tokens, codec);
  if (!text.ok()) return text.error();
  v1::DetokenizeResponse answer;
  answer.set_prompt(std::move(text).value());
  return answer;
}

}  // namespace

IntactKvService::IntactKvService(GrpcServerOptions options, const ServerContext* context,
                                 std::function<PostFn()> make_post)
    : options_(std::move(options)), context_(context), make_post_(std::move(make_post)) {}

GenerateSettings IntactKvService::Settings() {
  return {context_, options_.request_timeout, options_.send_stall, &num_calls_, &running_};
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* IntactKvService::Generate(
    grpc::CallbackServerContext* call, const grpc::ByteBuffer* request) {
  return GenerateReactor::Create(Settings(), make_post_(), call, Mutable(request));
}

grpc::ServerUnaryReactor* IntactKvService::GenerateUnary(grpc::CallbackServerContext* call,
                                                         const grpc::ByteBuffer* request,
                                                         grpc::ByteBuffer* response) {
  return UnaryReactor::Create(Settings(), make_post_(), call, Mutable(request), response);
}

grpc::ServerUnaryReactor* IntactKvService::Abort(grpc::CallbackServerContext* call,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return AnswerNow(call, EndCall(*request), response);
}

RequestOr<v1::AbortResponse> IntactKvService::EndCall(const grpc::ByteBuffer& bytes) {
  v1::AbortRequest request;
  if (std::optional<RequestError> malformed = ParseMessage(bytes, request)) return *malformed;
  if (!request.has_request_id()) return MissingParameter("request_id");
  if (running_.Abort(request.request_id())) return v1::AbortResponse();
  RequestError error = ErrorFromStatus(absl::NotFoundError("No call of this 'request_id' runs."));
  error.param = "request_id";
  return error;
}

grpc::ServerUnaryReactor* IntactKvService::Tokenize(grpc::CallbackServerContext* call,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  using Answer = RequestOr<v1::TokenizeResponse>;
  v1::TokenizeRequest message;
  std::optional<RequestError> fault = ReadTextRequest(*context_, *request, message);
  if (fault.has_value()) return AnswerNow(call, Answer(*fault), response);
  TokenizeInput input = ToTokenizeInput(message);
  fault = CheckTokenizeInput(input);
  if (fault.has_value()) return AnswerNow(call, Answer(*fault), response);
  const ServingParts& parts = *context_->parts();
  return AnswerFromPool<v1::TokenizeResponse>(
      parts, make_post_(), call, response,
      [&parts, input = std::move(input)] { return TokenizeAnswer(input, parts); });
}

grpc::ServerUnaryReactor* IntactKvService::Detokenize(grpc::CallbackServerContext* call,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  using Answer = RequestOr<v1::DetokenizeResponse>;
  v1::DetokenizeRequest message;
  const std::optional<RequestError> fault = ReadTextRequest(*context_, *request, message);
  if (fault.has_value()) return AnswerNow(call, Answer(*fault), response);
  const TextCodec& codec = *context_->parts()->codec;
  RequestOr<std::vector<TokenId>> tokens =
      CheckDetokenizeInput({message.tokens().begin(), message.tokens().end()}, codec);
  if (!tokens.ok()) return AnswerNow(call, Answer(tokens.error()), response);
  return AnswerFromPool<v1::DetokenizeResponse>(
      *context_->parts(), make_post_(), call, response,
      [&codec, tokens = std::move(tokens).value()] { return DetokenizeAnswer(tokens, codec); });
}

grpc::ServerUnaryReactor* IntactKvService::GetModelInfo(grpc::CallbackServerContext* call,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return AnswerNow(call, DescribeModel(*request), response);
}

RequestOr<v1::ModelInfo> IntactKvService::DescribeModel(const grpc::ByteBuffer& bytes) const {
  v1::GetModelInfoRequest request;
  if (const auto fault = ReadTextRequest(*context_, bytes, request)) return *fault;
  return ToModelInfo(options_, context_->parts()->model);
}

grpc::ServerUnaryReactor* IntactKvService::GetServerInfo(grpc::CallbackServerContext* call,
                                                         const grpc::ByteBuffer* request,
                                                         grpc::ByteBuffer* response) {
  return AnswerNow(call, DescribeServer(*request), response);
}

RequestOr<v1::ServerInfo> IntactKvService::DescribeServer(const grpc::ByteBuffer& bytes) const {
  v1::GetServerInfoRequest request;
  if (const auto malformed = ParseMessage(bytes, request)) return *malformed;
  return ToServerInfo(options_, *context_, kMaxMessageBytes);
}

}  // namespace intactkv
