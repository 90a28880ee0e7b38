// The shapes that OpenAI's clients read. Whole values are compared, so a field that is missing,
// null instead of absent, or one too many fails.
#include "server/openai/completion_json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cmath>
#include <limits>

#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

namespace json = boost::json;

// One line that parses to `expected`; key order does not matter.
void ExpectJson(const std::string& actual, const std::string& expected) {
  EXPECT_EQ(actual.find('\n'), std::string::npos) << actual;
  json::error_code error;
  const json::value value = json::parse(actual, error);
  ASSERT_FALSE(error) << actual;
  EXPECT_EQ(value, json::parse(expected)) << actual << "\nexpected\n" << expected;
}

SampledToken Token(char byte, float logprob, std::vector<TokenLogprob> top = {}) {
  return {.token = TokenId(static_cast<unsigned char>(byte)),
          .logprob = logprob,
          .top = std::move(top)};
}

ChoiceDelta Delta(int32_t choice, const std::string& text, std::vector<SampledToken> tokens = {},
                  FinishReason finish = FinishReason::kNone) {
  return {.choice = choice, .text = text, .tokens = std::move(tokens), .finish = finish};
}

constexpr RequestUsage kUsage{
    .prompt_tokens = 10, .completion_tokens = 4, .cached_tokens = 7, .pinned_tokens = 3};
constexpr char kUsageJson[] =
    R"({"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,
        "prompt_tokens_details":{"cached_tokens":7,"pinned_tokens":3}})";

CompletionJson::Identity Identity(Endpoint endpoint) {
  CompletionJson::Identity identity;
  identity.endpoint = endpoint;
  identity.id = endpoint == Endpoint::kChat ? "chatcmpl-1" : "cmpl-1";
  identity.created_unix_seconds = 1'700'000'000;
  identity.model = "m";
  return identity;
}

class CompletionJsonTest : public ::testing::Test {
 protected:
  CompletionJson Chat() { return {Identity(Endpoint::kChat), codec_}; }
  CompletionJson Text() { return {Identity(Endpoint::kCompletions), codec_}; }
  // The fields that every chunk and every whole answer begins with.
  static std::string Begin(const std::string& object) {
    const std::string id = object == "text_completion" ? "cmpl-1" : "chatcmpl-1";
    return R"({"id":")" + id + R"(","object":")" + object +
           R"(","created":1700000000,"model":"m",)";
  }
  static std::string ChatChunk(const std::string& rest) {
    return Begin("chat.completion.chunk") + rest + "}";
  }
  static std::string TextChunk(const std::string& rest) {
    return Begin("text_completion") + rest + "}";
  }

  FakeTextCodec codec_;
};

TEST_F(CompletionJsonTest, ChatChunks) {
  CompletionJson chat = Chat();
  ExpectJson(chat.RoleChunk(0),
             ChatChunk(R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},
                          "logprobs":null,"finish_reason":null}])"));
  ExpectJson(chat.DeltaChunk(Delta(2, "a\"\n\xC3\xA9")),
             ChatChunk(R"("choices":[{"index":2,"delta":{"content":"a\"\n\u00e9"},
                          "logprobs":null,"finish_reason":null}])"));
  ExpectJson(chat.FinishChunk(1, FinishReason::kStop),
             ChatChunk(R"("choices":[{"index":1,"delta":{},"logprobs":null,
                          "finish_reason":"stop"}])"));
  ExpectJson(chat.FinishChunk(0, FinishReason::kLength),
             ChatChunk(R"("choices":[{"index":0,"delta":{},"logprobs":null,
                          "finish_reason":"length"}])"));
  ExpectJson(chat.UsageChunk(kUsage),
             ChatChunk(R"("choices":[],"usage":)" + std::string(kUsageJson)));
}

TEST_F(CompletionJsonTest, TextChunks) {
  CompletionJson text = Text();
  ExpectJson(text.DeltaChunk(Delta(1, "ab")),
             TextChunk(R"("choices":[{"index":1,"text":"ab","logprobs":null,
                          "finish_reason":null}])"));
  ExpectJson(text.FinishChunk(1, FinishReason::kLength),
             TextChunk(R"("choices":[{"index":1,"text":"","logprobs":null,
                          "finish_reason":"length"}])"));
  ExpectJson(text.UsageChunk(kUsage),
             TextChunk(R"("choices":[],"usage":)" + std::string(kUsageJson)));
}

TEST_F(CompletionJsonTest, WithIncludeUsageEveryOtherChunkSaysNull) {
  for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletions}) {
    CompletionJson::Identity identity = Identity(endpoint);
    identity.usage_in_chunks = true;
    CompletionJson out(identity, codec_);
    for (const std::string& chunk : {out.RoleChunk(0), out.DeltaChunk(Delta(0, "a")),
                                     out.FinishChunk(0, FinishReason::kStop)}) {
      const json::object object = json::parse(chunk).as_object();
      ASSERT_TRUE(object.contains("usage")) << chunk;
      EXPECT_TRUE(object.at("usage").is_null());
    }
  }
  EXPECT_FALSE(json::parse(Chat().RoleChunk(0)).as_object().contains("usage"));
}

TEST_F(CompletionJsonTest, ADeltaWithNothingToShowMakesNoChunk) {
  CompletionJson chat = Chat();
  EXPECT_EQ(chat.DeltaChunk(Delta(0, "", {Token('a', -1)})), "");
  CompletionJson::Identity identity = Identity(Endpoint::kChat);
  identity.logprobs = true;
  CompletionJson with_logprobs(identity, codec_);
  EXPECT_EQ(with_logprobs.DeltaChunk(Delta(0, "")), "");
  EXPECT_NE(with_logprobs.DeltaChunk(Delta(0, "", {Token('a', -1)})), "")
      << "half a character has logprobs already";
}

TEST_F(CompletionJsonTest, WholeChat) {
  ExpectJson(Chat().Whole(
                 {Delta(0, "hi", {}, FinishReason::kStop), Delta(1, "", {}, FinishReason::kLength)},
                 kUsage),
             Begin("chat.completion") +
                 R"("choices":[
             {"index":0,"message":{"role":"assistant","content":"hi","refusal":null},
              "logprobs":null,"finish_reason":"stop"},
             {"index":1,"message":{"role":"assistant","content":"","refusal":null},
              "logprobs":null,"finish_reason":"length"}],"usage":)" +
                 kUsageJson + "}");
}

TEST_F(CompletionJsonTest, WholeText) {
  ExpectJson(Text().Whole({Delta(0, "hi", {}, FinishReason::kLength)}, kUsage),
             Begin("text_completion") +
                 R"("choices":[{"index":0,"text":"hi","logprobs":null,"finish_reason":"length"}],
                    "usage":)" +
                 kUsageJson + "}");
}

TEST_F(CompletionJsonTest, UsageAlwaysHasCachedTokens) {
  std::string out;
  AppendUsage(out, {.prompt_tokens = 3, .completion_tokens = 0});
  ExpectJson(out, R"({"prompt_tokens":3,"completion_tokens":0,"total_tokens":3,
                      "prompt_tokens_details":{"cached_tokens":0,"pinned_tokens":0}})");
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  out.clear();
  AppendUsage(out, {.prompt_tokens = kMax, .completion_tokens = kMax});
  EXPECT_EQ(json::parse(out).at("total_tokens").as_int64(), int64_t{2} * kMax);
}

TEST_F(CompletionJsonTest, ChatLogprobs) {
  CompletionJson::Identity identity = Identity(Endpoint::kChat);
  identity.logprobs = true;
  CompletionJson chat(identity, codec_);
  const std::vector<SampledToken> tokens = {
      Token('a', -0.5f, {{TokenId('a'), -0.5f}, {TokenId('b'), -1.25f}}),
      Token('\xC3', -2.0f),  // half of a character: bytes tell what `token` cannot
      {.token = kFakeEnd, .logprob = 0.0f, .top = {}}};
  const std::string content = R"([
      {"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[
         {"token":"a","logprob":-0.5,"bytes":[97]},{"token":"b","logprob":-1.25,"bytes":[98]}]},
      {"token":"\ufffd","logprob":-2.0,"bytes":[195],"top_logprobs":[]},
      {"token":"<|end|>","logprob":0.0,"bytes":[60,124,101,110,100,124,62],"top_logprobs":[]}])";
  const json::value expected = json::parse(R"({"content":)" + content + R"(,"refusal":null})");
  const json::value chunk = json::parse(chat.DeltaChunk(Delta(0, "a", tokens)));
  // Numbers as doubles: "0" and "0.0" are the same to a client.
  const json::value& got = chunk.at("choices").at(0).at("logprobs");
  ASSERT_EQ(got.at("content").as_array().size(), 3u);
  EXPECT_EQ(got.at("content").at(0), expected.at("content").at(0));
  EXPECT_EQ(got.at("content").at(1).at("token"), expected.at("content").at(1).at("token"));
  EXPECT_EQ(got.at("content").at(1).at("bytes"), expected.at("content").at(1).at("bytes"));
  EXPECT_EQ(got.at("content").at(1).at("top_logprobs"), json::array());
  EXPECT_EQ(got.at("content").at(2).at("token"), "<|end|>");
  EXPECT_EQ(got.at("content").at(2).at("bytes"), expected.at("content").at(2).at("bytes"));
  EXPECT_EQ(got.at("content").at(2).at("logprob").to_number<double>(), 0.0);
  EXPECT_TRUE(got.at("refusal").is_null());
  const json::value whole =
      json::parse(chat.Whole({Delta(0, "a", tokens, FinishReason::kStop)}, kUsage));
  EXPECT_EQ(whole.at("choices").at(0).at("logprobs"), got) << "whole and streamed are the same";
}

class TextLogprobsTest : public CompletionJsonTest {
 protected:
  TextLogprobsTest() : out_(MakeIdentity(), codec_) {}
  static CompletionJson::Identity MakeIdentity() {
    CompletionJson::Identity identity = Identity(Endpoint::kCompletions);
    identity.logprobs = true;
    return identity;
  }
  json::value Logprobs(int32_t choice, const std::string& text, std::vector<SampledToken> tokens) {
    const json::value chunk = json::parse(out_.DeltaChunk(Delta(choice, text, std::move(tokens))));
    return chunk.at("choices").at(0).at("logprobs");
  }
  CompletionJson out_;
};

TEST_F(TextLogprobsTest, FourListsOfTheSameLength) {
  EXPECT_EQ(Logprobs(0, "ab",
                     {Token('a', -0.5f, {{TokenId('a'), -0.5f}, {TokenId('x'), -1.5f}}),
                      Token('b', -2.5f, {{TokenId('x'), -0.25f}})}),
            json::parse(R"({"tokens":["a","b"],"token_logprobs":[-0.5,-2.5],
                            "top_logprobs":[{"a":-0.5,"x":-1.5},{"x":-0.25,"b":-2.5}],
                            "text_offset":[0,1]})"))
      << "the token that was drawn is always among the top, and once";
}

TEST_F(TextLogprobsTest, ZeroStillTellsTheDrawnToken) {
  EXPECT_EQ(Logprobs(0, "a", {Token('a', -0.5f)}),
            json::parse(R"({"tokens":["a"],"token_logprobs":[-0.5],"top_logprobs":[{"a":-0.5}],
                            "text_offset":[0]})"));
}

TEST_F(TextLogprobsTest, OffsetsCountCharactersAcrossTheStreamOfEachChoice) {
  EXPECT_EQ(Logprobs(0, "\xC3\xA9", {Token('\xC3', -1), Token('\xA9', -1)}).at("text_offset"),
            json::parse("[0,1]"));
  EXPECT_EQ(Logprobs(0, "x", {Token('x', -1)}).at("text_offset"), json::parse("[1]"));
  EXPECT_EQ(Logprobs(1, "y", {Token('y', -1)}).at("text_offset"), json::parse("[0]"))
      << "another choice starts at 0";
  EXPECT_EQ(Logprobs(0, "z", {{.token = kFakeEnd, .logprob = -1.0f, .top = {}}, Token('z', -1)})
                .at("text_offset"),
            json::parse("[2,2]"))
      << "a special has no text";
}

TEST_F(TextLogprobsTest, BytesThatAreNoTextKeepTheirOwnKeys) {
  const json::value logprobs =
      Logprobs(0, "", {Token('\xC3', -1, {{TokenId(0xC3), -1.0f}, {TokenId(0xA9), -2.0f}})});
  EXPECT_EQ(logprobs.at("tokens"), json::parse(R"(["bytes:\\xc3"])"));
  EXPECT_EQ(logprobs.at("top_logprobs").at(0).as_object().size(), 2u);
  EXPECT_TRUE(logprobs.at("top_logprobs").at(0).as_object().contains("bytes:\\xa9"));
}

std::string Shown(float logprob) {
  std::string out;
  AppendLogprob(out, logprob);
  return out;
}

TEST(AppendLogprobTest, IsAlwaysAFiniteJsonNumber) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float value : {-kInf, std::nanf(""), -9999.0f, -10'000.0f, -3e38f}) {
    EXPECT_EQ(Shown(value), "-9999.0");
  }
  EXPECT_EQ(json::parse(Shown(kInf)).to_number<double>(), 0.0);
  EXPECT_EQ(json::parse(Shown(0.25f)).to_number<double>(), 0.0);
  for (const float value : {0.0f, -0.0f, -0.1f, -1e-30f, -1.17549435e-38f, -9998.999f, -12.345678f,
                            std::nextafterf(-9999.0f, 0.0f)}) {
    const std::string text = Shown(value);
    EXPECT_EQ(static_cast<float>(json::parse(text).to_number<double>()), value) << text;
  }
}

TEST_F(CompletionJsonTest, TokenIdsInAChat) {
  CompletionJson::Identity identity = Identity(Endpoint::kChat);
  identity.token_ids = true;
  identity.prompt = {TokenId(5), TokenId(6)};
  CompletionJson chat(identity, codec_);
  const json::value role = json::parse(chat.RoleChunk(0));
  EXPECT_EQ(role.at("prompt_token_ids"), json::parse("[5,6]"));
  const json::value delta =
      json::parse(chat.DeltaChunk(Delta(0, "ab", {Token('a', 0), Token('b', 0)})));
  EXPECT_EQ(delta.at("choices").at(0).at("token_ids"), json::parse("[97,98]"));
  EXPECT_TRUE(delta.at("choices").at(0).at("logprobs").is_null());
  EXPECT_FALSE(delta.as_object().contains("prompt_token_ids"));
  const json::value whole =
      json::parse(chat.Whole({Delta(0, "a", {Token('a', 0)}, FinishReason::kStop)}, kUsage));
  EXPECT_EQ(whole.at("prompt_token_ids"), json::parse("[5,6]"));
  EXPECT_EQ(whole.at("choices").at(0).at("token_ids"), json::parse("[97]"));
}

TEST_F(CompletionJsonTest, TokenIdsInCompletionsCarryThePromptOncePerChoice) {
  CompletionJson::Identity identity = Identity(Endpoint::kCompletions);
  identity.token_ids = true;
  identity.prompt = {TokenId(5), TokenId(6)};
  CompletionJson text(identity, codec_);
  const auto choice_of = [&](int32_t k) {
    return json::parse(text.DeltaChunk(Delta(k, "a", {Token('a', 0)}))).at("choices").at(0);
  };
  EXPECT_EQ(choice_of(0).at("prompt_token_ids"), json::parse("[5,6]"));
  EXPECT_FALSE(choice_of(0).as_object().contains("prompt_token_ids"));
  EXPECT_EQ(choice_of(1).at("prompt_token_ids"), json::parse("[5,6]"));
}

TEST_F(CompletionJsonTest, NothingOfTheNamesBreaksTheJson) {
  CompletionJson::Identity identity = Identity(Endpoint::kChat);
  identity.model = "m\"\\\n\x01";
  CompletionJson chat(identity, codec_);
  EXPECT_EQ(json::parse(chat.RoleChunk(0)).at("model"), "m\"\\\n\x01");
}

// The first token has no log probability; offsets go on from the prompt into the answer, over
// chunks too.
TEST_F(CompletionJsonTest, EchoedLogProbabilities) {
  CompletionJson::Identity identity = Identity(Endpoint::kCompletions);
  identity.logprobs = true;
  ChoiceDelta delta = Delta(0, "pqa", {Token('a', -0.5f)});
  delta.prompt_begins = true;
  delta.prompt_tokens = {Token('p', 0.0f), Token('q', -1.5f, {{TokenId('r'), -0.25f}})};
  CompletionJson chunks(identity, codec_);
  ExpectJson(chunks.DeltaChunk(delta), TextChunk(R"("choices":[{"index":0,"text":"pqa","logprobs":
      {"tokens":["p","q","a"],"token_logprobs":[null,-1.5,-0.5],
       "top_logprobs":[null,{"r":-0.25,"q":-1.5},{"a":-0.5}],"text_offset":[0,1,2]},
      "finish_reason":null}])"));
  delta.prompt_hidden = 1;  // the text shows nothing of "p"
  ExpectJson(CompletionJson(identity, codec_).DeltaChunk(delta),
             TextChunk(R"("choices":[{"index":0,"text":"pqa","logprobs":
      {"tokens":["p","q","a"],"token_logprobs":[null,-1.5,-0.5],
       "top_logprobs":[null,{"r":-0.25,"q":-1.5},{"a":-0.5}],"text_offset":[0,0,1]},
      "finish_reason":null}])"));
  ChoiceDelta next = Delta(0, "", {});
  next.prompt_tokens = {Token('s', -2.25f)};
  ExpectJson(chunks.DeltaChunk(next), TextChunk(R"("choices":[{"index":0,"text":"","logprobs":
      {"tokens":["s"],"token_logprobs":[-2.25],"top_logprobs":[{"s":-2.25}],"text_offset":[3]},
      "finish_reason":null}])"));
}

}  // namespace
}  // namespace intactkv
