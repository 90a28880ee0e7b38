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
  std::vector<bool> listed(data.tokens.size());
  for (const int32_t id : data.end_ids) listed[static_cast<size_t>(id)] = true;
  std::vector<TokenId> ids;
  if (data.eos_id >= 0) ids.push_back(TokenId(data.eos_id));
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const TokenId id(static_cast<int32_t>(i));
    const bool ends = std::find(std::begin(kEndNames), std::end(kEndNames), data.tokens[i]) !=
                      std::end(kEndNames);
    if (((ends && specials.IsControl(id)) || listed[i]) && id.value != data.eos_id)
      ids.push_back(id);
  }
  return ids;
}

absl::Status CheckSize(size_t bytes) {
  if (bytes <= BpeTokenizer::kMaxTextBytes) return absl::OkStatus();
  return InvalidArgument("text of more than 512 MiB");
}

class BpeTextCodec final : public TextCodec {
 public:
  struct Parts {
    BpeTokenizer tokenizer;
    SpecialTokens specials;
    std::optional<ChatTemplate> chat_template;
    std::optional<TokenId> leading, trailing;  // what Encode puts around a text
    std::vector<TokenId> end_ids;
  };

  explicit BpeTextCodec(Parts parts) : parts_(std::move(parts)) {}

  absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const override {
    RETURN_IF_ERROR(CheckSize(text.size()));
    std::vector<TokenId> ids;
    if (parts_.leading.has_value()) ids.push_back(*parts_.leading);
    MarkedText marked;
    marked.Append(text, /*is_from_template=*/false);
    EncodeMarked(marked, ids);
    if (parts_.trailing.has_value()) ids.push_back(*parts_.trailing);
    return ids;
  }

  absl::StatusOr<std::vector<TokenId>> EncodeChatPrompt(const ChatPrompt& prompt) const override {
    if (!parts_.chat_template.has_value()) {
      return FailedPrecondition("the model has no chat template (tokenizer.chat_template)");
    }
    absl::StatusOr<std::vector<Segment>> segments = parts_.chat_template->Render(prompt);
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
    bool at_start = parts_.tokenizer.DecodeStripsSpace();
    for (const TokenId token : tokens) {
      if (!keep_special && IsSpecial(token)) continue;
      std::string_view bytes = parts_.tokenizer.TokenBytes(token);
      if (at_start && bytes.starts_with(' ')) bytes.remove_prefix(1);
      at_start = false;
      text += bytes;
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
    MarkedText text;
    for (const Segment& segment : segments) text.Append(segment.text, segment.from_template);
    RETURN_IF_ERROR(CheckSize(text.bytes.size()));
    std::vector<TokenId> ids;
    EncodeMarked(text, ids);
    return ids;
  }

  void EncodeMarked(const MarkedText& text, std::vector<TokenId>& ids) const {
    const std::string_view bytes = text.bytes;
    size_t begin = 0;
    while (const auto match = parts_.specials.Find(text, begin)) {
      EncodePiece(bytes.substr(begin, match->begin - begin), begin == 0, ids);
      ids.push_back(match->token);
      begin = match->begin + match->length;
    }
    EncodePiece(bytes.substr(begin), begin == 0, ids);
  }

  // What lies between added tokens.
  void EncodePiece(std::string_view piece, bool at_start, std::vector<TokenId>& ids) const {
    const std::string normalized = parts_.tokenizer.Normalize(piece);
    const std::string_view text = normalized;
    size_t begin = 0;
    while (const auto match = parts_.specials.FindNormalized(text, begin)) {
      parts_.tokenizer.EncodeNormalized(text.substr(begin, match->begin - begin),
                                        at_start && begin == 0, ids);
      ids.push_back(match->token);
      begin = match->begin + match->length;
    }
    parts_.tokenizer.EncodeNormalized(text.substr(begin), at_start && begin == 0, ids);
  }

  const Parts parts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TextCodec>> MakeTextCodec(TokenizerData given,
                                                         TextCodecOptions options) {
  ASSIGN_OR_RETURN(BpeTokenizer tokenizer, BpeTokenizer::Make(given));
  const TokenizerData data = ResolveDefaults(std::move(given));
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
  SpecialTokens specials(data, [&](std::string_view name) { return tokenizer.Normalize(name); });
  std::vector<TokenId> end_ids = EndIds(data, specials);
  const auto when = [](bool wanted, int id) {
    return wanted ? std::optional(TokenId(id)) : std::nullopt;
  };
  return std::make_unique<BpeTextCodec>(
      BpeTextCodec::Parts{.tokenizer = std::move(tokenizer),
                          .specials = std::move(specials),
                          .chat_template = std::move(chat_template),
                          .leading = when(*data.add_bos, data.bos_id),
                          .trailing = when(*data.add_eos, data.eos_id),
                          .end_ids = std::move(end_ids)});
}

}  // namespace intactkv
