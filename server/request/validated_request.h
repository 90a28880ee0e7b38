// The one validated, immutable request that REST and gRPC share, its one validator, and the step
// that turns it into the engine's GenerationRequest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "engine/api/text_codec.h"
#include "engine/base/ids.h"
#include "engine/base/sampling.h"
#include "server/request/raw_request.h"
#include "server/request/request_error.h"

namespace intactkv {

// What requests are checked against.
struct ServedModel {
  std::string name;           // the id that clients send as `model`
  int32_t max_model_len = 0;  // tokens: prompt + max_tokens
  int32_t vocab_size = 0;
  int64_t created_unix_seconds = 0;
  int64_t longest_token_bytes = 0;  // LongestTokenBytes of the codec; 0: not known
  std::string stored_format = {};   // of the KV pages: "int8", or by layers
};

// Immutable (ForgetPrompt aside): only ValidateRequest makes one, so whoever holds one need not
// check again.
class ValidatedRequest {
 public:
  struct Fields {
    Endpoint endpoint = Endpoint::kGenerate;
    std::variant<std::vector<ChatMessage>, std::string, std::vector<TokenId>> prompt;
    std::string prompt_param;           // "messages", "prompt" or "token_ids": for later errors
    std::optional<int64_t> max_tokens;  // >= 1, with echo >= 0; absent: the endpoint's default
    std::string max_tokens_param;       // "max_tokens" or "max_completion_tokens"
    int64_t min_tokens = 0;
    bool ignore_eos = false;
    SamplingParams sampling;  // seed drawn when the client gave none; without edits
    LogitEdits edits;         // without bad words, which are text until the prompt is encoded
    std::vector<std::string> bad_words;  // <= 64, each 1..256 bytes
    int32_t n = 1;
    std::vector<std::string> stop;  // <= 4, each 1..256 bytes
    std::vector<TokenId> stop_token_ids;
    bool include_stop = false;  // a stop string that ended the text is shown
    bool stream = false;
    bool include_usage = false;
    bool return_token_ids = false;
    bool echo = false;  // raw prompts only
    std::string cache_salt;
    std::string request_id;  // "": the client gave none
  };
  const Fields* operator->() const { return &fields_; }
  const Fields& operator*() const { return fields_; }
  // Once it is encoded: a prompt can be large, and a generation is long.
  void ForgetPrompt() { fields_.prompt = std::string(); }

 private:
  friend RequestOr<ValidatedRequest> ValidateRequest(RawRequest raw, const ServedModel& model);
  explicit ValidatedRequest(Fields fields) : fields_(std::move(fields)) {}
  Fields fields_;
};

// Checks every field (the limits are in request_limits.h). Thread-safe, O(size of the request).
// The first fault in a fixed order is reported: model, unsupported parameters, prompt, then the
// others in the order of Fields.
RequestOr<ValidatedRequest> ValidateRequest(RawRequest raw, const ServedModel& model);

// Encodes the prompt (chat template and BPE; O(prompt)) and checks it against the context, in 64
// bits: prompt + max_tokens <= max_model_len, else 400 context_length_exceeded. Without max_tokens
// a chat gets what the context has left, a raw prompt min(16, that). Not on an I/O thread.
// `deadline` goes into the request as it is.
RequestOr<GenerationRequest> BuildGeneration(const ValidatedRequest& request,
                                             const TextCodec& codec, const ServedModel& model,
                                             absl::Time deadline);

}  // namespace intactkv
