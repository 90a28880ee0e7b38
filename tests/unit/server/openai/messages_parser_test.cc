#include "server/openai/messages_parser.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "server/request/request_limits.h"

namespace intactkv {
namespace {

RequestOr<std::vector<ChatMessage>> Parse(const std::string& json) {
  return ParseMessages(boost::json::parse(json));
}

// "" if it is accepted, else "code param".
std::string Verdict(const std::string& json) {
  const auto messages = Parse(json);
  return messages.ok() ? "" : messages.error().code + " " + messages.error().param;
}

// The content of one message with these parts.
std::string Joined(const std::string& content) {
  const auto messages = Parse(R"([{"role":"user","content":)" + content + "}]");
  EXPECT_TRUE(messages.ok()) << content;
  return messages.ok() ? messages->at(0).content : "refused";
}

TEST(MessagesParserTest, RolesAndContentAsTheyStand) {
  const auto messages = Parse(R"([{"role":"system","content":"be brief"},
                                  {"role":"user","content":"h\u00e9\n","name":"bob"},
                                  {"content":"ok","role":"assistant","refusal":null}])");
  ASSERT_TRUE(messages.ok());
  ASSERT_EQ(messages->size(), 3u);
  EXPECT_EQ(messages->at(0).role, "system");
  EXPECT_EQ(messages->at(0).content, "be brief");
  EXPECT_EQ(messages->at(1).content, "h\xC3\xA9\n");
  EXPECT_EQ(messages->at(2).role, "assistant");
  EXPECT_EQ(Verdict(R"([{"role":"wizard","content":"x"}])"), "") << "the validator knows roles";
}

TEST(MessagesParserTest, EmptyIsTheValidatorsBusiness) {
  const auto none = Parse("[]");
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
  EXPECT_EQ(Joined("\"\""), "");
  EXPECT_EQ(Joined("[]"), "");
}

TEST(MessagesParserTest, TextPartsAreJoined) {
  EXPECT_EQ(Joined(R"([{"type":"text","text":"a"}])"), "a");
  EXPECT_EQ(Joined(R"([{"type":"text","text":"a"},{"text":" b","type":"text"},
                       {"type":"text","text":""},{"type":"text","text":"c","other":1}])"),
            "a bc");
}

TEST(MessagesParserTest, NamesTheFieldAtFault) {
  const struct {
    const char* json;
    const char* verdict;
  } rows[] = {
      {"{}", "invalid_type messages"},
      {"\"hi\"", "invalid_type messages"},
      {"1", "invalid_type messages"},
      {"[1]", "invalid_type messages[0]"},
      {"[null]", "invalid_type messages[0]"},
      {"[[]]", "invalid_type messages[0]"},
      {R"([{"role":"user","content":"a"},"b"])", "invalid_type messages[1]"},
      {"[{}]", "missing_required_parameter messages[0].role"},
      {R"([{"role":null,"content":"a"}])", "missing_required_parameter messages[0].role"},
      {R"([{"role":1,"content":"a"}])", "invalid_type messages[0].role"},
      {R"([{"role":["user"],"content":"a"}])", "invalid_type messages[0].role"},
      {R"([{"role":"user"}])", "missing_required_parameter messages[0].content"},
      {R"([{"role":"user","content":null}])", "missing_required_parameter messages[0].content"},
      {R"([{"role":"user","content":1}])", "invalid_type messages[0].content"},
      {R"([{"role":"user","content":{}}])", "invalid_type messages[0].content"},
      {R"([{"role":"user","content":true}])", "invalid_type messages[0].content"},
      {R"([{"role":"user","content":["a"]}])", "invalid_type messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text","text":"a"},null]}])",
       "invalid_type messages[0].content[1]"},
      {R"([{"role":"user","content":[{"text":"a"}]}])",
       "missing_required_parameter messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":1}]}])", "invalid_type messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])",
       "missing_required_parameter messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"type":"text","text":1}]}])",
       "invalid_type messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])",
       "unsupported_parameter messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"input_audio"}]}])",
       "unsupported_parameter messages[0].content[0].type"},
  };
  for (const auto& row : rows) EXPECT_EQ(Verdict(row.json), row.verdict) << row.json;
}

TEST(MessagesParserTest, ToolCallsAreUnsupportedUnlessEmpty) {
  const auto with = [](const std::string& field) {
    return R"([{"role":"assistant","content":"a",)" + field + "}]";
  };
  EXPECT_EQ(Verdict(with(R"("tool_calls":[])")), "");
  EXPECT_EQ(Verdict(with(R"("tool_calls":null,"function_call":null,"audio":null)")), "");
  EXPECT_EQ(Verdict(with(R"("tool_calls":[{}])")), "unsupported_parameter messages[0].tool_calls");
  EXPECT_EQ(Verdict(with(R"("tool_calls":{})")), "unsupported_parameter messages[0].tool_calls");
  EXPECT_EQ(Verdict(with(R"("function_call":{})")),
            "unsupported_parameter messages[0].function_call");
  EXPECT_EQ(Verdict(with(R"("audio":{"id":"x"})")), "unsupported_parameter messages[0].audio");
}

TEST(MessagesParserTest, AtMostSoManyMessages) {
  const auto many = [](size_t count, const std::string& message) {
    std::string json = "[";
    for (size_t i = 0; i < count; ++i) json += (i > 0 ? "," : "") + message;
    return json + "]";
  };
  const std::string good = R"({"role":"user","content":"a"})";
  const auto most = Parse(many(kMaxMessages, good));
  ASSERT_TRUE(most.ok());
  EXPECT_EQ(most->size(), kMaxMessages);
  EXPECT_EQ(Verdict(many(kMaxMessages + 1, good)), "invalid_value messages");
  EXPECT_EQ(Verdict(many(kMaxMessages + 1, "1")), "invalid_value messages")
      << "refused before they are read";
}

}  // namespace
}  // namespace intactkv
