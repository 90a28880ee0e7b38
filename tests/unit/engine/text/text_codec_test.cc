#include "engine/text/text_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/rng.h"
#include "engine/text/utf8.h"
#include "tests/unit/engine/text/gguf_tokenizer.h"

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

std::vector<int32_t> Values(const absl::StatusOr<std::vector<TokenId>>& ids) {
  EXPECT_TRUE(ids.ok()) << ids.status();
  std::vector<int32_t> values;
  if (!ids.ok()) return values;
  for (const TokenId id : *ids) values.push_back(id.value);
  return values;
}

std::vector<TokenId> Tokens(const std::vector<int32_t>& values) {
  std::vector<TokenId> tokens;
  for (const int32_t value : values) tokens.push_back(TokenId(value));
  return tokens;
}

std::unique_ptr<TextCodec> Codec(TokenizerData data, TextCodecOptions options = {}) {
  auto codec = MakeTextCodec(std::move(data), options);
  EXPECT_TRUE(codec.ok()) << codec.status();
  return *std::move(codec);
}

std::unique_ptr<TextCodec> CodecWith(const std::string& chat_template) {
  TokenizerData data = testing::TinyTokenizer();
  data.chat_template = chat_template;
  return Codec(std::move(data));
}

// The ids of TinyTokenizer: a byte is its own id.
constexpr int32_t kEndOfText = 256, kStart = 257, kEnd = 258, kTool = 259;

// Golden ids: four independent repositories agree on them.
const std::vector<int32_t> kDefaultPrefix = {1,     9690,  198,  2683, 359,   253, 5356, 5646,
                                             11173, 3365,  3511, 308,  34519, 28,  7018, 411,
                                             407,   19712, 8182, 2,    198,   1,   4093, 198};

class RealCodecTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const TokenizerData* data = testing::TestModelTokenizer();
    if (data == nullptr) GTEST_SKIP() << "no model at " << testing::TestModelPath();
    codec_ = Codec(*data);
  }
  std::unique_ptr<TextCodec> codec_;
};

TEST_F(RealCodecTest, DefaultSystemPrefixIsTheGolden24Ids) {
  EXPECT_THAT(Values(codec_->SystemPrefix(nullptr)), ElementsAreArray(kDefaultPrefix));
}

TEST_F(RealCodecTest, ChatIdsAreGolden) {
  const std::vector<ChatMessage> messages = {{"user", "Hello"}};
  std::vector<int32_t> want = kDefaultPrefix;
  want.insert(want.end(), {19556, 2, 198});
  EXPECT_THAT(Values(codec_->EncodeChat(messages, false)), ElementsAreArray(want));
  want.insert(want.end(), {1, 520, 9531, 198});
  EXPECT_THAT(Values(codec_->EncodeChat(messages, true)), ElementsAreArray(want));
}

TEST_F(RealCodecTest, SystemPromptReplacesTheDefault) {
  const std::string system = "You are terse.";
  const std::vector<int32_t> prefix = Values(codec_->SystemPrefix(&system));
  const std::vector<ChatMessage> messages = {{"system", system}, {"user", "Anything"}};
  const std::vector<int32_t> ids = Values(codec_->EncodeChat(messages, true));
  ASSERT_LT(prefix.size(), ids.size());
  EXPECT_TRUE(std::equal(prefix.begin(), prefix.end(), ids.begin()));
  EXPECT_THAT(std::vector<int32_t>(prefix.end() - 5, prefix.end()),
              ElementsAre(2, 198, 1, 4093, 198));
  EXPECT_NE(prefix, kDefaultPrefix);
}

TEST_F(RealCodecTest, AMessageCannotForgeSpecialTokens) {
  const std::vector<int32_t> forged = {44, 108, 306, 79, 3738, 108, 46};
  EXPECT_THAT(Values(codec_->Encode("<|im_start|>")), ElementsAreArray(forged));
  const std::vector<ChatMessage> messages = {{"user", "<|im_start|>"}};
  std::vector<int32_t> want = kDefaultPrefix;
  want.insert(want.end(), forged.begin(), forged.end());
  want.insert(want.end(), {2, 198});
  EXPECT_THAT(Values(codec_->EncodeChat(messages, false)), ElementsAreArray(want));
  const std::vector<ChatMessage> role = {{"<|im_end|>", "x"}};
  const std::vector<int32_t> ids = Values(codec_->EncodeChat(role, false));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2),
            2);  // those of the template: default system, end
}

TEST_F(RealCodecTest, KnowsItsSpecialTokens) {
  EXPECT_EQ(codec_->vocab_size(), 49152);
  EXPECT_THAT(codec_->end_ids(), ElementsAre(TokenId(2), TokenId(0)));
  EXPECT_TRUE(codec_->IsSpecial(TokenId(0)));
  EXPECT_TRUE(codec_->IsSpecial(TokenId(16)));
  EXPECT_FALSE(codec_->IsSpecial(TokenId(17)));
  EXPECT_EQ(codec_->TokenBytes(TokenId(2)), "<|im_end|>");
  EXPECT_EQ(codec_->TokenBytes(TokenId(905)), " world");
}

TEST_F(RealCodecTest, StreamEqualsWholeDecode) {
  Rng rng(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<TokenId> tokens;
    for (size_t n = rng.Below(40); n > 0; --n) {
      const uint64_t limit = rng.Below(2) ? 300 : 49152;
      tokens.push_back(TokenId(static_cast<int32_t>(rng.Below(limit))));
    }
    const auto decoder = codec_->NewStreamDecoder();
    std::string streamed;
    for (const TokenId token : tokens) streamed += decoder->Feed(token);
    streamed += decoder->Flush();
    ASSERT_EQ(streamed, ReplaceInvalidUtf8(codec_->Decode(tokens, false).value()));
  }
}

TEST(TextCodecTest, DecodeSkipsSpecialsUnlessAsked) {
  const auto codec = CodecWith("");
  const std::vector<TokenId> tokens = Tokens({kStart, 'a', kTool, 'b', kEnd});
  EXPECT_EQ(codec->Decode(tokens, false).value(), "a<tool>b");
  EXPECT_EQ(codec->Decode(tokens, true).value(), "<|im_start|>a<tool>b<|im_end|>");
  for (const int32_t bad : {-1, 260}) {
    const auto status = codec->Decode(Tokens({'a', bad}), true).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(bad)));
  }
  EXPECT_TRUE(codec->Decode(Tokens({259}), true).ok());
  EXPECT_THAT(codec->end_ids(), ElementsAre(TokenId(kEnd), TokenId(kEndOfText)));
}

TEST(TextCodecTest, ArbitraryBytesRoundTrip) {
  const auto codec = CodecWith("");
  Rng rng(4);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (size_t n = rng.Below(500); n > 0; --n) bytes.push_back(static_cast<char>(rng.Below(256)));
    ASSERT_EQ(codec->Decode(codec->Encode(bytes).value(), false).value(), bytes);
  }
}

TEST(TextCodecTest, StreamOfIdsWithoutTextIsEmpty) {
  const auto codec = CodecWith("");
  const auto stream = codec->NewStreamDecoder();
  EXPECT_EQ(stream->Feed(TokenId(kEnd)), "");
  EXPECT_EQ(stream->Feed(TokenId(260)), "");
  EXPECT_EQ(stream->Feed(TokenId(0xC3)), "");
  EXPECT_EQ(stream->Feed(TokenId(kEnd)), "");
  EXPECT_EQ(stream->Feed(TokenId(0xA9)), "\u00e9");
  EXPECT_EQ(stream->Feed(TokenId(kTool)), "<tool>");
}

TEST(TextCodecTest, EncodePutsBosInFrontOnlyIfTheModelSaysSo) {
  TokenizerData data = testing::TinyTokenizer();
  EXPECT_THAT(Values(Codec(data)->Encode("a")), ElementsAre('a'));
  data.add_bos = true;
  data.chat_template = "{{ messages[0].content }}";
  const auto codec = Codec(data);
  EXPECT_THAT(Values(codec->Encode("a")), ElementsAre(kStart, 'a'));
  const std::vector<ChatMessage> messages = {{"user", "b"}};
  EXPECT_THAT(Values(codec->EncodeChat(messages, false)), ElementsAre('b'));
}

TEST(TextCodecTest, WithoutATemplateThereIsNoChat) {
  const auto codec = CodecWith("");
  const std::vector<ChatMessage> messages = {{"user", "b"}};
  const absl::Status status = codec->EncodeChat(messages, true).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("chat template"));
  EXPECT_EQ(codec->SystemPrefix(nullptr).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(TextCodecTest, ATemplateOutsideTheSubsetIsRefusedAtStart) {
  TokenizerData data = testing::TinyTokenizer();
  data.chat_template = "{% include 'x' %}";
  EXPECT_EQ(MakeTextCodec(data).status().code(), absl::StatusCode::kUnimplemented);
  data.chat_template = "{% if %}";
  EXPECT_EQ(MakeTextCodec(data).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TextCodecTest, OriginSurvivesEveryTransformation) {
  const std::vector<ChatMessage> messages = {{"user", "<|im_end|>"}};
  const std::string content = "messages[0].content";
  for (const std::string& expression : std::vector<std::string>{
           content,
           content + " + ''",
           "'' ~ " + content,
           content + "[:]",
           content + "|trim",
           content + ".strip()",
           content + "|upper|lower",
           content + "|replace('q', 'r')",
           content + ".split('X')[0]",
           "[" + content + "]|join('')",
           content + "|string|safe",
           "messages|map(attribute='content')|join",
           content + "|list|join",
           "(messages[0]|tojson)[29:39]",
           content + "|indent",
           "'%'.join([" + content + "])",
           content + "[::-1][::-1]",
           "('' ~ [" + content + "])[2:12]",
           "({" + content + ": 1}|items|first)[0]",
           "'<|XYim_end|>'.replace('XY', '' ~ " + content + "[0:0])[0:0] ~ " + content}) {
    const auto codec = CodecWith("{{ " + expression + " }}<|im_start|>");
    const std::vector<int32_t> ids = Values(codec->EncodeChat(messages, false));
    EXPECT_EQ(std::count(ids.begin(), ids.end(), kEnd), 0) << expression;
    ASSERT_EQ(ids.size(), 11u) << expression;
    EXPECT_EQ(ids.back(), kStart) << expression;
    EXPECT_EQ(codec->Decode(Tokens(ids), false).value(), "<|im_end|>") << expression;
  }
}

TEST(TextCodecTest, AMessageCannotCompleteOrCutATemplatesName) {
  const auto ids = [](const std::string& chat_template, const std::string& content) {
    const std::vector<ChatMessage> messages = {{"user", content}};
    return Values(CodecWith(chat_template)->EncodeChat(messages, false));
  };
  EXPECT_EQ(ids("<|im_{{ messages[0].content }}|>", "end").size(), 10u);
  EXPECT_EQ(ids("{{ '<|im_Qend|>'|replace(messages[0].content, '') }}", "Q").size(), 10u);
  EXPECT_EQ(ids("{% set x %}<|im_end{% endset %}{{ x }}{{ messages[0].content }}", "|>").size(),
            10u);
  EXPECT_THAT(ids("{% set x = '<|im_' %}{{ x ~ 'end|>' }}", "x"), ElementsAre(kEnd));
}

TEST(TextCodecTest, UserDefinedTokensAreTextAndRecognizedAnywhere) {
  const auto codec = CodecWith("<tool>{{ messages[0].content }}");
  const std::vector<ChatMessage> messages = {{"user", "<tool>a"}};
  EXPECT_THAT(Values(codec->EncodeChat(messages, false)), ElementsAre(kTool, kTool, 'a'));
  EXPECT_THAT(Values(codec->Encode("<tool>")), ElementsAre(kTool));
  // Half from the template, half from a message: no name.
  EXPECT_EQ(Values(CodecWith("<to{{ messages[0].content }}")
                       ->EncodeChat(std::vector<ChatMessage>{{"user", "ol>"}}, false))
                .size(),
            6u);
}

TEST(TextCodecTest, TextOfBothOriginsMergesBetweenSpecials) {
  TokenizerData data = testing::TinyTokenizer({"a b"});
  data.chat_template = "<|im_start|>a{{ messages[0].content }}";
  const int32_t ab = 256;
  const std::vector<ChatMessage> messages = {{"user", "b"}};
  EXPECT_THAT(Values(Codec(data)->EncodeChat(messages, false)), ElementsAre(258, ab));
}

TEST(TextCodecTest, TheTemplatesRefusalAndItsBudgetsAreTheClientsFault) {
  const std::vector<ChatMessage> messages = {{"tool", "x"}};
  const auto refusing =
      CodecWith("{{ raise_exception('roles must alternate: ' ~ messages[0].role) }}");
  const absl::Status refused = refusing->EncodeChat(messages, false).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "roles must alternate: tool");
  const auto endless = CodecWith("{% for i in range(9999999999) %}{% endfor %}");
  EXPECT_EQ(endless->EncodeChat(messages, false).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(TextCodecTest, FrozenTimeIsTheCallers) {
  TokenizerData data = testing::TinyTokenizer();
  data.chat_template = "{{ strftime_now('%d %b %Y') }}";
  const auto codec = Codec(data, {.now_unix_seconds = 1'722'384'000});
  const auto ids = codec->EncodeChat({}, false);
  EXPECT_EQ(codec->Decode(ids.value(), false).value(), "31 Jul 2024");
}

TEST(TextCodecTest, SystemPrefixStopsWhereTheUserBegins) {
  const auto codec =
      CodecWith("{% for m in messages %}<|im_start|>{{ m.role[0] }}:{{ m.content }}{% endfor %}");
  const std::string system = "S";
  EXPECT_THAT(Values(codec->SystemPrefix(&system)),
              ElementsAre(kStart, 's', ':', 'S', kStart, 'u', ':'));
  EXPECT_THAT(Values(codec->SystemPrefix(nullptr)), ElementsAre(kStart, 'u', ':'));
}

}  // namespace
}  // namespace intactkv
