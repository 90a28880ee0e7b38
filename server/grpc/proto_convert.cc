#include "server/grpc/proto_convert.h"

#include <string>

#include "server/request/request_limits.h"
#include "server/request/utf8.h"

namespace intactkv {
namespace {

// The bytes of a single token may be half a character: `token` shows them as REST does,
// `token_bytes` has them as they are.
template <typename Message>
void FillToken(const TextCodec& codec, TokenId token, float logprob, Message* out) {
  const std::string bytes = codec.TokenBytes(token);
  out->set_token(ToValidUtf8(bytes));
  out->set_token_id(token.value);
  out->set_logprob(static_cast<double>(ShownLogprob(logprob)));
  out->set_token_bytes(bytes);
}

void FillLogprob(const TextCodec& codec, const SampledToken& token, v1::TokenLogprob* out) {
  FillToken(codec, token.token, token.logprob, out);
  for (const TokenLogprob& top : token.top) {
    FillToken(codec, top.token, top.logprob, out->add_top_logprobs());
  }
}

void TakeEdits(const v1::GenerateRequest& in, RawRequest& out) {
  if (in.has_frequency_penalty()) out.frequency_penalty = in.frequency_penalty();
  if (in.has_presence_penalty()) out.presence_penalty = in.presence_penalty();
  if (in.has_repetition_penalty()) out.repetition_penalty = in.repetition_penalty();
  if (in.logit_bias_size() > 0)
    out.logit_bias.emplace(in.logit_bias().begin(), in.logit_bias().end());
  if (in.allowed_token_ids_size() > 0)
    out.allowed_token_ids.emplace(in.allowed_token_ids().begin(), in.allowed_token_ids().end());
  if (in.bad_words_size() > 0) out.bad_words.emplace(in.bad_words().begin(), in.bad_words().end());
}

std::vector<ChatMessage> ToMessages(
    const google::protobuf::RepeatedPtrField<v1::ChatMessage>& messages) {
  std::vector<ChatMessage> out;
  out.reserve(static_cast<size_t>(messages.size()));
  for (const v1::ChatMessage& message : messages)
    out.push_back({message.role(), message.content()});
  return out;
}

// "" while the choice goes on.
const char* FinishText(FinishReason reason) {
  if (reason == FinishReason::kStop) return "stop";
  return reason == FinishReason::kLength ? "length" : "";
}

void FillUsage(const RequestUsage& usage, v1::Usage* out) {
  out->set_prompt_tokens(usage.prompt_tokens);
  out->set_completion_tokens(usage.completion_tokens);
  out->set_total_tokens(usage.prompt_tokens + usage.completion_tokens);
  out->mutable_prompt_tokens_details()->set_cached_tokens(usage.cached_tokens);
}

// Of a message of the stream or a choice of the whole: the same fields.
template <typename Message>
void AddTokens(const ChoiceDelta& delta, const TextCodec& codec, const ValidatedRequest& request,
               Message& out) {
  const int first = out.logprobs_size();
  for (const SampledToken& token : delta.prompt_tokens) {
    FillLogprob(codec, token, out.add_logprobs());
  }
  if (delta.prompt_begins) out.mutable_logprobs(first)->clear_logprob();
  for (const SampledToken& token : delta.tokens) {
    if (request->return_token_ids) out.add_token_ids(token.token.value);
    if (request->sampling.num_logprobs >= 0) FillLogprob(codec, token, out.add_logprobs());
  }
  const char* finish = FinishText(delta.finish);
  if (*finish != '\0') out.set_finish_reason(finish);
}

v1::GenerateResponse Start(const GrpcStreamIdentity& identity) {
  v1::GenerateResponse out;
  out.set_id(identity.id);
  out.set_created(identity.created);
  out.set_model(identity.model);
  return out;
}

}  // namespace

RawRequest ToRawRequest(const v1::GenerateRequest& in) {
  RawRequest out;
  out.endpoint = Endpoint::kGenerate;
  if (in.has_model()) out.model = in.model();
  if (in.messages_size() > 0) out.messages = ToMessages(in.messages());
  if (in.has_prompt()) out.prompt = in.prompt();
  if (in.has_token_ids())
    out.token_ids.emplace(in.token_ids().ids().begin(), in.token_ids().ids().end());
  if (in.has_max_tokens()) out.max_tokens = in.max_tokens();
  if (in.has_max_completion_tokens()) out.max_completion_tokens = in.max_completion_tokens();
  if (in.has_min_tokens()) out.min_tokens = in.min_tokens();
  if (in.has_temperature()) out.temperature = in.temperature();
  if (in.has_top_k()) out.top_k = in.top_k();
  if (in.has_top_p()) out.top_p = in.top_p();
  if (in.has_min_p()) out.min_p = in.min_p();
  if (in.has_seed()) out.seed = in.seed();
  if (in.has_n()) out.n = in.n();
  if (in.stop_size() > 0) out.stop.emplace(in.stop().begin(), in.stop().end());
  if (in.stop_token_ids_size() > 0)
    out.stop_token_ids.emplace(in.stop_token_ids().begin(), in.stop_token_ids().end());
  if (in.has_ignore_eos()) out.ignore_eos = in.ignore_eos();
  if (in.has_include_stop_str_in_output())
    out.include_stop_str_in_output = in.include_stop_str_in_output();
  TakeEdits(in, out);
  if (in.has_logprobs()) out.logprobs = in.logprobs();
  if (in.has_top_logprobs()) out.top_logprobs = in.top_logprobs();
  if (in.has_return_token_ids()) out.return_token_ids = in.return_token_ids();
  if (in.has_echo()) out.echo = in.echo();
  if (in.has_cache_salt()) out.cache_salt = in.cache_salt();
  if (in.has_request_id()) out.request_id = in.request_id();
  return out;
}

v1::GenerateResponse ToResponse(const GrpcStreamIdentity& identity, const ChoiceDelta& delta,
                                const TextCodec& codec, const ValidatedRequest& request) {
  v1::GenerateResponse out = Start(identity);
  out.set_index(delta.choice);
  out.set_text(delta.text);
  AddTokens(delta, codec, request, out);
  return out;
}

v1::GenerateResponse ToUsageResponse(const GrpcStreamIdentity& identity,
                                     const RequestUsage& usage) {
  v1::GenerateResponse out = Start(identity);
  FillUsage(usage, out.mutable_usage());
  return out;
}

void AppendDelta(const ChoiceDelta& delta, const TextCodec& codec, const ValidatedRequest& request,
                 v1::GenerateUnaryResponse& out) {
  while (out.choices_size() <= delta.choice) {
    const int index = out.choices_size();
    out.add_choices()->set_index(index);
  }
  v1::Choice& choice = *out.mutable_choices(delta.choice);
  choice.mutable_text()->append(delta.text);
  AddTokens(delta, codec, request, choice);
}

void FillEnd(const GrpcStreamIdentity& identity, const RequestUsage& usage,
             v1::GenerateUnaryResponse& out) {
  out.set_id(identity.id);
  out.set_created(identity.created);
  out.set_model(identity.model);
  FillUsage(usage, out.mutable_usage());
}

TokenizeInput ToTokenizeInput(const v1::TokenizeRequest& in) {
  TokenizeInput out;
  if (in.has_prompt()) out.prompt = in.prompt();
  if (in.messages_size() > 0) out.messages = ToMessages(in.messages());
  if (in.has_add_generation_prompt()) out.add_generation_prompt = in.add_generation_prompt();
  return out;
}

grpc::Status FailCall(grpc::CallbackServerContext& call, const RequestError& error) {
  if (!error.code.empty()) call.AddTrailingMetadata("intactkv-error-code", error.code);
  if (!error.param.empty()) call.AddTrailingMetadata("intactkv-error-param", error.param);
  return {static_cast<grpc::StatusCode>(StatusCodeOf(error)), error.message};
}

}  // namespace intactkv
