// Answers of the generation endpoints as JSON: whole objects and stream chunks, in OpenAI's shapes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/engine.h"
#include "engine/api/text_codec.h"
#include "server/request/completion_stream.h"
#include "server/request/validated_request.h"

namespace intactkv {

// One per request; the same id, created and model in everything it writes. Each result is one line
// of UTF-8 without a line feed. Thread-compatible.
class CompletionJson {
 public:
  struct Identity {
    Endpoint endpoint = Endpoint::kChat;
    std::string id;  // "chatcmpl-..." or "cmpl-..."
    int64_t created_unix_seconds = 0;
    std::string model;
    bool usage_in_chunks = false;  // include_usage: every chunk carries usage, null but in the last
    bool logprobs = false;
    bool token_ids = false;
    std::vector<TokenId> prompt;  // for return_token_ids, else empty
  };
  // `codec` is not owned and must outlive this.
  CompletionJson(Identity identity, const TextCodec& codec);

  // First chunk of a chat choice: role, empty content.
  std::string RoleChunk(int32_t choice) const;
  // Text (and logprobs, token ids) of one delta; its `finish` is left to FinishChunk. "" if there
  // is nothing that the client asked to see.
  std::string DeltaChunk(const ChoiceDelta& delta);
  std::string FinishChunk(int32_t choice, FinishReason reason) const;
  std::string UsageChunk(const RequestUsage& usage) const;
  // The whole answer; one delta per choice that holds everything.
  std::string Whole(const std::vector<ChoiceDelta>& choices, const RequestUsage& usage);

 private:
  std::string Begin(bool chunk) const;
  void AppendChunkEnd(std::string& out) const;
  void AppendChatLogprobs(std::string& out, const std::vector<SampledToken>& tokens) const;
  struct TextLogprobs;
  // `known`: it has a log probability; the first token of a prompt has none.
  void AddTextLogprob(const SampledToken& token, bool known, int64_t& offset,
                      TextLogprobs& lists) const;
  void AppendTextLogprobs(std::string& out, const ChoiceDelta& delta);
  void AppendLogprobs(std::string& out, const ChoiceDelta& delta);
  void AppendTokenIds(std::string& out, const ChoiceDelta& delta);
  bool is_chat() const { return identity_.endpoint == Endpoint::kChat; }

  Identity identity_;
  const TextCodec& codec_;
  std::vector<int64_t> text_offset_;   // characters so far, by choice
  std::vector<bool> prompt_ids_sent_;  // by choice
};

// {"prompt_tokens":...,"prompt_tokens_details":{"cached_tokens":...}}; cached_tokens always there.
void AppendUsage(std::string& out, const RequestUsage& usage);
// A finite JSON number: the shortest that reads back as the same float; at least -9999.0.
void AppendLogprob(std::string& out, float logprob);
void AppendIds(std::string& out, const std::vector<TokenId>& ids);

}  // namespace intactkv
