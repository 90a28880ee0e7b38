// A TextCodec whose ids are bytes: id b < 256 is the byte b, four specials follow. For tests of the
// server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/api/text_codec.h"

namespace intactkv {

inline constexpr TokenId kFakeEnd{256};
inline constexpr TokenId kFakeSystem{257};
inline constexpr TokenId kFakeUser{258};
inline constexpr TokenId kFakeAssistant{259};
inline constexpr int kFakeVocabSize = 260;
// A message with this content is refused by the "template".
inline constexpr char kFakeRefusedContent[] = "refuse me";

// A chat is, per message, the role's special, the bytes and kFakeEnd; then kFakeAssistant.
class FakeTextCodec : public TextCodec {
 public:
  absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const override;
  absl::StatusOr<std::vector<TokenId>> EncodeChatPrompt(const ChatPrompt& prompt) const override;
  absl::StatusOr<std::string> Decode(std::span<const TokenId> tokens,
                                     bool keep_special) const override;
  std::string TokenBytes(TokenId token) const override;
  bool IsSpecial(TokenId token) const override { return token.value >= 256; }
  std::unique_ptr<StreamDecoder> NewStreamDecoder() const override;
  int vocab_size() const override { return kFakeVocabSize; }
  std::vector<TokenId> end_ids() const override { return {kFakeEnd}; }
  absl::StatusOr<std::vector<TokenId>> SystemPrefix(
      const std::string* system_prompt) const override;
};

// The ids of `text`'s bytes.
std::vector<TokenId> ByteTokens(std::string_view text);

}  // namespace intactkv
