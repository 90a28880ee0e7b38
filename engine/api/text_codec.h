// Text <-> tokens, as the server sees it: tokenizer, chat template and incremental detokenizer
// behind one pure interface.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/ids.h"

namespace intactkv {

struct ChatMessage {
  std::string role;
  std::string content;  // UTF-8
  // What else the template may read: a JSON object, or "" for none. Its keys win over role and
  // content: {"content": null, "tool_calls": [...]}.
  std::string more_json = {};
};

// A chat as its template sees it. All of it is the request's: no special token comes from it.
struct ChatPrompt {
  std::span<const ChatMessage> messages;
  bool add_generation_prompt = false;
  std::string_view tools_json = {};      // a JSON array; "": the template's `tools` is none
  std::string_view arguments_json = {};  // a JSON object of further variables; "": none
};

// Turns a token stream into UTF-8 text, never splitting a character. One per choice.
// Thread-compatible.
class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;
  // Text that became complete with this token; "" if a character is still open or the token is
  // special (end of turn etc.).
  virtual std::string Feed(TokenId token) = 0;
  // What is left at the end; an incomplete sequence becomes U+FFFD.
  virtual std::string Flush() = 0;
};

// Immutable, Thread-safe.
class TextCodec {
 public:
  virtual ~TextCodec() = default;
  // Plain text -> ids. Special tokens are never produced from `text`. Invalid UTF-8 is allowed:
  // bytes in, the same bytes out, but for a byte that the vocabulary has no token for: it is left
  // out.
  virtual absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const = 0;
  // Chat template over the messages, then ids. Specials come from the template's own text only,
  // never from the request. kInvalidArgument: the template refuses the messages (its
  // raise_exception text), JSON that is none, or the operation or output budget is used up.
  virtual absl::StatusOr<std::vector<TokenId>> EncodeChatPrompt(const ChatPrompt& prompt) const = 0;
  absl::StatusOr<std::vector<TokenId>> EncodeChat(std::span<const ChatMessage> messages,
                                                  bool add_generation_prompt) const {
    return EncodeChatPrompt({.messages = messages, .add_generation_prompt = add_generation_prompt});
  }
  // The bytes of the tokens, one after another. Specials are skipped unless `keep_special`.
  // kInvalidArgument: id outside the vocabulary.
  virtual absl::StatusOr<std::string> Decode(std::span<const TokenId> tokens,
                                             bool keep_special) const = 0;
  // The bytes of one token, special names included ("<|im_end|>"). For logprobs. `token` must be in
  // the vocabulary.
  virtual std::string TokenBytes(TokenId token) const = 0;
  virtual bool IsSpecial(TokenId token) const = 0;
  virtual std::unique_ptr<StreamDecoder> NewStreamDecoder() const = 0;
  virtual int vocab_size() const = 0;
  virtual std::vector<TokenId> end_ids() const = 0;  // ids that end a generation (EOS, end of turn)
  // Ids that every chat with this system prompt starts with: the longest common id prefix of two
  // renderings that differ only in the user's text. nullptr: the template's own default system
  // prompt.
  virtual absl::StatusOr<std::vector<TokenId>> SystemPrefix(
      const std::string* system_prompt) const = 0;
};

}  // namespace intactkv
