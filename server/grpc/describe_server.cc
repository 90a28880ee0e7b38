#include "server/grpc/describe_server.h"

#include "server/request/request_limits.h"

namespace intactkv {
namespace {

v1::ServerState ToState(ServerState state) {
  switch (state) {
    case ServerState::kLoading:
      return v1::SERVER_STATE_LOADING;
    case ServerState::kReady:
      return v1::SERVER_STATE_READY;
    case ServerState::kDraining:
      return v1::SERVER_STATE_DRAINING;
  }
  return v1::SERVER_STATE_UNSPECIFIED;
}

void FillLimits(const GrpcServerOptions& options, int64_t max_message_bytes,
                v1::ServerLimits* out) {
  out->set_max_running(options.max_running);
  out->set_max_queue(options.max_queue);
  out->set_max_tokens_per_step(options.max_tokens_per_step);
  out->set_request_timeout_seconds(absl::ToDoubleSeconds(options.request_timeout));
  out->set_max_message_bytes(max_message_bytes);
  out->set_max_choices(kMaxChoices);
  out->set_max_top_logprobs(kMaxTopLogprobs);
  out->set_max_stop_strings(static_cast<int64_t>(kMaxStopStrings));
}

}  // namespace

v1::ModelInfo ToModelInfo(const GrpcServerOptions& options, const ServedModel& model) {
  v1::ModelInfo out;
  out.set_id(model.name);
  out.set_created(model.created_unix_seconds);
  out.set_max_model_len(model.max_model_len);
  out.set_vocab_size(model.vocab_size);
  out.set_weights(options.weights);
  out.set_kv(model.stored_format);
  out.set_server_version(options.server_version);
  return out;
}

v1::ServerInfo ToServerInfo(const GrpcServerOptions& options, const ServerContext& context,
                            int64_t max_message_bytes) {
  v1::ServerInfo out;
  out.set_server_version(options.server_version);
  out.set_state(ToState(context.state()));
  v1::ServedFormats& formats = *out.mutable_formats();
  formats.set_weights(options.weights);
  formats.set_activations(options.activations);
  formats.set_pin_dtype(options.pin_dtype);
  FillLimits(options, max_message_bytes, out.mutable_limits());
  const ServingParts* parts = context.parts();
  if (parts == nullptr) return out;
  formats.set_kv(parts->model.stored_format);  // chosen from the model
  *out.mutable_model() = ToModelInfo(options, parts->model);
  for (const PrefixInfo& prefix : parts->engine->ListPrefixes()) {
    v1::PinnedPrefix& pin = *out.add_pinned_prefixes();
    pin.set_name(prefix.name);
    pin.set_num_tokens(prefix.num_tokens);
    pin.set_bytes(prefix.bytes);
    pin.set_num_matches(prefix.num_matches);
    pin.set_checksum(prefix.checksum);
  }
  return out;
}

}  // namespace intactkv
