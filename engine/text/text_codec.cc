#include "engine/text/text_codec.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/chat_template.h"
#include "engine/text/special_tokens.h"
#include "engine/text/stream_decoder.h"

namespace intactkv {

namespace {

// Names under which model families end a turn; one that is a control token ends a generation.
constexpr std::string_view kEndNames[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>",   "<|end_of_text|>",
    "<|eot|>",    "<|end|>",    "</s>",       "<|end_of_turn|>", "<end_of_turn>",
};

// Pairs of user texts that begin with different tokens in any vocabulary that we know.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kUserTexts = {{
    {"Hello", "what is it?"},
    {"1", "Zebra"},
    {"(a)", "\u4f60\u597d"},
    {"the", "Write"},
}};

std::vector<TokenId> EndIds(const TokenizerData& data, const SpecialTokens& specials) {
  std::vector<TokenId> ids;
  if (data.eos_id >= 0) ids.push_back(TokenId(data.eos_id));
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const TokenId id(static_cast<int32_t>(i));
    const bool ends = std::find(std::begin(kEndNames), std::end(kEndNames), data.tokens[i]) !=
                      std::end(kEndNames);
    if (ends && specials.IsControl(id) && id.value != data.eos_id) ids.push_back(id);
  }
  return ids;
}

absl::Status CheckSize(size_t bytes) {
  if (bytes <= BpeTokenizer::kMaxTextBytes) return absl::OkStatus();
  return InvalidArgument("text of more than 1 GiB");
}

class BpeTextCodec final : public TextCodec {
 public:
  struct Parts {
    BpeTokenizer tokenizer;
    SpecialTokens specials;
    std::optional<ChatTemplate> chat_template;
    std::optional<TokenId> leading;  // what Encode puts in front
    std::vector<TokenId> end_ids;
  };

  explicit BpeTextCodec(Parts parts) : parts_(std::move(parts)) {}

  absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const override {
    RETURN_IF_ERROR(CheckSize(text.size()));
    std::vector<TokenId> ids;
    if (parts_.leading.has_value()) ids.push_back(*parts_.leading);
    parts_.tokenizer.Encode(text, ids);
    return ids;
  }

  absl::StatusOr<std::vector<TokenId>> EncodeChat(std::span<const ChatMessage> messages,
                                                  bool add_generation_prompt) const override {
    if (!parts_.chat_template.has_value()) {
      return FailedPrecondition("the model has no chat template (tokenizer.chat_template)");
    }
    absl::StatusOr<std::vector<Segment>> segments = parts_.chat_template->Render(
        {.messages = messages, .add_generation_prompt = add_generation_prompt});
    if (!segments.ok()) {
      // The budget is spent by this request's messages: asking again later changes nothing.
      return InvalidArgument(ToStd(segments.status().message()));
    }
    return EncodeSegments(*segments);
  }

  absl::StatusOr<std::string> Decode(std::span<const TokenId> tokens,
                                     bool keep_special) const override {
    for (const TokenId token : tokens) {
      if (!InVocabulary(token)) {
        return InvalidArgument("token id " + std::to_string(token.value) + " is outside the " +
                               std::to_string(vocab_size()) + " tokens of the vocabulary");
      }
    }
    std::string text;
    for (const TokenId token : tokens) {
      if (keep_special || !IsSpecial(token)) text += parts_.tokenizer.TokenBytes(token);
    }
    return text;
  }

  std::string TokenBytes(TokenId token) const override {
    return std::string(parts_.tokenizer.TokenBytes(token));
  }

  bool IsSpecial(TokenId token) const override {
    return InVocabulary(token) && parts_.specials.IsControl(token);
  }

  std::unique_ptr<StreamDecoder> NewStreamDecoder() const override {
    return std::make_unique<Utf8StreamDecoder>([this](TokenId token) -> std::string_view {
      // A model may have more rows than its vocabulary has tokens; those have no text.
      if (!InVocabulary(token) || IsSpecial(token)) return {};
      return parts_.tokenizer.TokenBytes(token);
    });
  }

  int vocab_size() const override { return parts_.tokenizer.vocab_size(); }
  std::vector<TokenId> end_ids() const override { return parts_.end_ids; }

  absl::StatusOr<std::vector<TokenId>> SystemPrefix(
      const std::string* system_prompt) const override {
    std::optional<std::vector<TokenId>> common;
    for (const auto& [first, second] : kUserTexts) {
      for (const std::string_view text : {first, second}) {
        ASSIGN_OR_RETURN(const std::vector<TokenId> ids, Rendering(system_prompt, text));
        if (!common.has_value()) common = ids;
        const auto end = std::mismatch(common->begin(), common->end(), ids.begin(), ids.end());
        common->erase(end.first, common->end());
      }
    }
    return *std::move(common);
  }

 private:
  bool InVocabulary(TokenId token) const { return token.value >= 0 && token.value < vocab_size(); }

  absl::StatusOr<std::vector<TokenId>> Rendering(const std::string* system_prompt,
                                                 std::string_view user_text) const {
    std::vector<ChatMessage> messages;
    if (system_prompt != nullptr) messages.push_back({.role = "system", .content = *system_prompt});
    messages.push_back({.role = "user", .content = std::string(user_text)});
    return EncodeChat(messages, /*add_generation_prompt=*/true);
  }

  // Special names count in the template's own text only. Between them the text of both origins is
  // one, so that words merge across the seam as they do in a plain tokenizer.
  absl::StatusOr<std::vector<TokenId>> EncodeSegments(const std::vector<Segment>& segments) const {
    std::vector<TokenId> ids;
    std::string plain;
    for (const Segment& segment : segments) {
      size_t pos = 0;
      while (segment.from_template) {
        const auto match = parts_.specials.Find(segment.text, pos);
        if (!match.has_value()) break;
        plain.append(segment.text, pos, match->begin - pos);
        parts_.tokenizer.Encode(plain, ids);
        plain.clear();
        ids.push_back(match->token);
        pos = match->begin + match->length;
      }
      plain.append(segment.text, pos);
      RETURN_IF_ERROR(CheckSize(plain.size()));
    }
    parts_.tokenizer.Encode(plain, ids);
    return ids;
  }

  const Parts parts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TextCodec>> MakeTextCodec(TokenizerData data,
                                                         TextCodecOptions options) {
  ASSIGN_OR_RETURN(BpeTokenizer tokenizer, BpeTokenizer::Make(data));
  const auto name_of = [&](int id) {
    return id < 0 ? std::nullopt : std::optional(data.tokens[static_cast<size_t>(id)]);
  };
  std::optional<ChatTemplate> chat_template;
  if (!data.chat_template.empty()) {
    absl::StatusOr<ChatTemplate> compiled =
        ChatTemplate::Compile(data.chat_template, {.bos_token = name_of(data.bos_id),
                                                   .eos_token = name_of(data.eos_id),
                                                   .now_unix_seconds = options.now_unix_seconds,
                                                   .limits = options.template_limits});
    if (!compiled.ok()) {
      const std::string message(ToStd(compiled.status().message()));
      return absl::Status(compiled.status().code(), ToAbsl("tokenizer.chat_template: " + message));
    }
    chat_template = *std::move(compiled);
  }
  SpecialTokens specials(data);
  std::vector<TokenId> end_ids = EndIds(data, specials);
  return std::make_unique<BpeTextCodec>(BpeTextCodec::Parts{
      .tokenizer = std::move(tokenizer),
      .specials = std::move(specials),
      .chat_template = std::move(chat_template),
      .leading = data.add_bos ? std::optional(TokenId(data.bos_id)) : std::nullopt,
      .end_ids = std::move(end_ids)});
}

}  // namespace intactkv
