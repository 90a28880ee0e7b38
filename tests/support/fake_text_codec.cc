#include "tests/support/fake_text_codec.h"

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

TokenId RoleToken(std::string_view role) {
  if (role == "system") return kFakeSystem;
  return role == "user" ? kFakeUser : kFakeAssistant;
}

// Length that the UTF-8 lead byte announces; 1 for anything that is no lead byte.
size_t Announced(unsigned char lead) {
  if (lead >= 0xF0) return 4;
  if (lead >= 0xE0) return 3;
  return lead >= 0xC0 ? 2 : 1;
}

// Holds the bytes of an open character. Well-formed input is assumed, as far as tests need it.
class ByteDecoder : public StreamDecoder {
 public:
  std::string Feed(TokenId token) override {
    if (token.value >= 256) return "";
    held_ += static_cast<char>(token.value);
    if (held_.size() < Announced(static_cast<unsigned char>(held_[0]))) return "";
    std::string text;
    text.swap(held_);
    return text;
  }
  std::string Flush() override {
    if (held_.empty()) return "";
    held_.clear();
    return "\xEF\xBF\xBD";
  }

 private:
  std::string held_;
};

}  // namespace

std::vector<TokenId> ByteTokens(std::string_view text) {
  std::vector<TokenId> ids;
  for (const char c : text) ids.emplace_back(static_cast<unsigned char>(c));
  return ids;
}

absl::StatusOr<std::vector<TokenId>> FakeTextCodec::Encode(std::string_view text) const {
  return ByteTokens(text);
}

absl::StatusOr<std::vector<TokenId>> FakeTextCodec::EncodeChatPrompt(
    const ChatPrompt& prompt) const {
  std::vector<TokenId> ids;
  for (const ChatMessage& message : prompt.messages) {
    if (message.content == kFakeRefusedContent) return InvalidArgument("the template refuses");
    ids.push_back(RoleToken(message.role));
    const std::vector<TokenId> bytes = ByteTokens(message.content);
    ids.insert(ids.end(), bytes.begin(), bytes.end());
    ids.push_back(kFakeEnd);
  }
  if (prompt.add_generation_prompt) ids.push_back(kFakeAssistant);
  return ids;
}

absl::StatusOr<std::string> FakeTextCodec::Decode(std::span<const TokenId> tokens,
                                                  bool keep_special) const {
  std::string text;
  for (const TokenId token : tokens) {
    if (token.value < 0 || token.value >= kFakeVocabSize) return InvalidArgument("unknown id");
    if (!IsSpecial(token) || keep_special) text += TokenBytes(token);
  }
  return text;
}

std::string FakeTextCodec::TokenBytes(TokenId token) const {
  CHECK(token.value >= 0 && token.value < kFakeVocabSize);
  constexpr const char* kNames[] = {"<|end|>", "<|system|>", "<|user|>", "<|assistant|>"};
  if (IsSpecial(token)) return kNames[token.value - 256];
  return std::string(1, static_cast<char>(token.value));
}

std::unique_ptr<StreamDecoder> FakeTextCodec::NewStreamDecoder() const {
  return std::make_unique<ByteDecoder>();
}

absl::StatusOr<std::vector<TokenId>> FakeTextCodec::SystemPrefix(
    const std::string* system_prompt) const {
  std::vector<TokenId> ids = {kFakeSystem};
  if (system_prompt != nullptr) {
    const std::vector<TokenId> bytes = ByteTokens(*system_prompt);
    ids.insert(ids.end(), bytes.begin(), bytes.end());
  }
  ids.push_back(kFakeEnd);
  return ids;
}

}  // namespace intactkv
