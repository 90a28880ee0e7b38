// A generation request as a wire delivered it: every field optional, nothing checked but its type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/api/text_codec.h"

namespace intactkv {

// Which rules and defaults apply. kGenerate (gRPC) takes any one of messages, prompt, token_ids.
enum class Endpoint : uint8_t { kChat, kCompletions, kGenerate };

struct RawRequest {
  Endpoint endpoint = Endpoint::kGenerate;
  std::optional<std::string> model;
  // Exactly one of the three; UTF-8.
  std::optional<std::vector<ChatMessage>> messages;
  std::optional<std::string> prompt;
  std::optional<std::vector<int64_t>> token_ids;
  std::string token_ids_param = "token_ids";  // what errors call it: REST sends ids as "prompt"

  std::optional<int64_t> max_tokens, max_completion_tokens, min_tokens;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k, seed, n;
  std::optional<std::vector<std::string>> stop;
  std::optional<std::vector<int64_t>> stop_token_ids;
  std::optional<bool> ignore_eos, include_stop_str_in_output;
  std::optional<double> frequency_penalty, presence_penalty, repetition_penalty;
  std::optional<std::vector<std::pair<int64_t, double>>> logit_bias;  // token id, bias
  std::optional<std::vector<int64_t>> allowed_token_ids;
  std::optional<std::vector<std::string>> bad_words;

  // Chat and gRPC: logprobs (bool) with top_logprobs. Completions: one number, `logprobs: 3`.
  std::optional<bool> logprobs;
  std::optional<int64_t> top_logprobs;
  std::optional<int64_t> completion_logprobs;

  std::optional<bool> stream, include_usage, return_token_ids;
  std::optional<bool> echo;  // the answer begins with the prompt, its log probabilities included
  std::optional<std::string> cache_salt;
  std::optional<std::string> request_id;  // gRPC's; on REST it is a header

  // Parameters that were sent with a value that would change the answer and that we do not do; the
  // validator refuses the first one by name. Filled by the wire's parser.
  std::vector<std::string> unsupported;
};

}  // namespace intactkv
