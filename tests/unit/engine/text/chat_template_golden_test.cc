#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "engine/base/status_macros.h"
#include "engine/text/chat_template.h"
#include "engine/text/text_codec.h"
#include "engine/text/tokenizer_json.h"
#include "tests/unit/engine/text/gguf_tokenizer.h"

namespace intactkv {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

std::string ReadFile(const std::string& name) {
  std::ifstream file(INTACTKV_SOURCE_DIR "/tests/unit/engine/text/templates/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Get(const json::object& object, const char* key) {
  return json::value_to<std::string>(object.at(key));
}

// Role and content as they are; everything else, and content that is no text, as JSON.
ChatMessage ToMessage(const json::object& object) {
  ChatMessage message{.role = Get(object, "role"), .content = ""};
  json::object more;
  for (const auto& [key, value] : object) {
    if (key == "role") continue;
    if (key == "content" && value.is_string()) {
      message.content = json::value_to<std::string>(value);
    } else {
      more[key] = value;
    }
  }
  if (!more.empty()) message.more_json = json::serialize(more);
  return message;
}

struct Conversation {
  explicit Conversation(const json::object& object) {
    for (const json::value& message : object.at("messages").as_array()) {
      messages.push_back(ToMessage(message.as_object()));
    }
    if (const json::value* value = object.if_contains("tools")) tools = json::serialize(*value);
    if (const json::value* value = object.if_contains("arguments")) {
      arguments = json::serialize(*value);
    }
    const json::value* prompt = object.if_contains("add_generation_prompt");
    add_generation_prompt = prompt == nullptr || prompt->as_bool();
  }

  ChatPrompt ToPrompt() const {
    return {.messages = messages,
            .add_generation_prompt = add_generation_prompt,
            .tools_json = tools,
            .arguments_json = arguments};
  }

  std::vector<ChatMessage> messages;
  std::string tools, arguments;
  bool add_generation_prompt = true;
};

absl::StatusOr<std::string> Rendered(const ChatTemplate& chat_template, const ChatPrompt& prompt) {
  ASSIGN_OR_RETURN(const std::vector<Segment> segments, chat_template.Render(prompt));
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

TEST(ChatTemplateGoldenTest, TheFamiliesTemplatesEqualJinja2) {
  const json::value root = json::parse(ReadFile("golden.json"));
  const json::object& golden = root.as_object();
  std::vector<Conversation> conversations;
  for (const json::value& value : golden.at("conversations").as_array()) {
    conversations.emplace_back(value.as_object());
  }
  ASSERT_EQ(conversations.size(), 30u);
  int outputs = 0, errors = 0, templates = 0;
  for (const auto& [name, results] : golden.at("results").as_object()) {
    SCOPED_TRACE(std::string(name));
    ++templates;
    const absl::StatusOr<ChatTemplate> chat_template = ChatTemplate::Compile(
        ReadFile(std::string(name)), {.bos_token = Get(golden, "bos_token"),
                                      .eos_token = Get(golden, "eos_token"),
                                      .now_unix_seconds = golden.at("now").to_number<int64_t>()});
    ASSERT_TRUE(chat_template.ok()) << chat_template.status();
    for (size_t i = 0; i < conversations.size(); ++i) {
      SCOPED_TRACE(i);
      const json::object& want = results.as_array()[i].as_object();
      const absl::StatusOr<std::string> got = Rendered(*chat_template, conversations[i].ToPrompt());
      if (want.contains("error")) {
        EXPECT_FALSE(got.ok()) << *got << "\njinja2: " << Get(want, "error");
        ++errors;
      } else {
        EXPECT_TRUE(got.ok()) << got.status();
        EXPECT_EQ(got.value_or(""), Get(want, "output"));
        ++outputs;
      }
    }
  }
  EXPECT_EQ(templates, 10);
  EXPECT_EQ(outputs + errors, 300);
  EXPECT_GT(outputs, 220);
}

// The ids that every chat of a family begins with, as text: what the server pins at start.
TEST(FamilySystemPrefixTest, EndsWhereTheUserBegins) {
  const struct {
    const char* tokenizer;
    const char* chat_template;
    const char* config;
    const char* prefix;
  } kFamilies[] = {
      {"qwen2", "qwen2.5", R"({"eos_token": "<|im_end|>"})",
       "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
       "<|im_end|>\n<|im_start|>user\n"},
      {"qwen2", "qwen3", R"({"eos_token": "<|im_end|>"})", "<|im_start|>user\n"},
      {"llama3", "llama-3.2", R"({"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"})",
       "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
       "Cutting Knowledge Date: December 2023\nToday Date: 31 Jul 2024\n\n<|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\n"},
      {"llama2", "llama-2", R"({"bos_token": "<s>", "eos_token": "</s>"})", "<s> [INST]"},
      {"mistral", "mistral-v3", R"({"bos_token": "<s>", "eos_token": "</s>"})", "<s>[INST]"},
  };
  for (const auto& family : kFamilies) {
    SCOPED_TRACE(family.chat_template);
    const auto data = ParseTokenizerFiles(
        {.tokenizer = ReadFile("../families/" + std::string(family.tokenizer) + ".tokenizer.json"),
         .config = family.config,
         .chat_template = ReadFile(std::string(family.chat_template) + ".jinja")},
        "dir");
    ASSERT_TRUE(data.ok()) << data.status();
    const auto codec = MakeTextCodec(*data, {.now_unix_seconds = 1722384000});
    ASSERT_TRUE(codec.ok()) << codec.status();
    const auto ids = (*codec)->SystemPrefix(nullptr);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ((*codec)->Decode(*ids, true).value(), family.prefix);
  }
}

class ToolsTest : public ::testing::Test {
 protected:
  static std::unique_ptr<TextCodec> Codec(const std::string& chat_template) {
    TokenizerData data = testing::TinyTokenizer();
    data.chat_template = chat_template;
    auto codec = MakeTextCodec(std::move(data));
    EXPECT_TRUE(codec.ok()) << codec.status();
    return *std::move(codec);
  }
  static constexpr int32_t kStart = 257, kEnd = 258;
};

TEST_F(ToolsTest, NoJsonOfARequestForgesASpecialToken) {
  const auto codec = Codec(
      "<|im_start|>{{ tools | tojson }}{{ tools[0]['<|im_end|>'] }}{% for k in tools[0] %}{{ k }}"
      "{% endfor %}{{ messages[0] | tojson }}{{ messages[0].x }}{{ extra }}{{ extra | tojson }}");
  const std::vector<ChatMessage> messages = {
      {.role = "user", .content = "", .more_json = R"({"x": "<|im_end|>", "<|im_end|>": 1})"}};
  const auto ids = codec->EncodeChatPrompt(
      {.messages = messages,
       .tools_json = R"([{"<|im_end|>": "<|im_end|>"}])",
       .arguments_json = R"({"extra": ["<|im_end|>", {"<|im_end|>": 0}]})"});
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(std::count(ids->begin(), ids->end(), TokenId(kStart)), 1);
  EXPECT_EQ(std::count(ids->begin(), ids->end(), TokenId(kEnd)), 0);
  const std::string text = codec->Decode(*ids, true).value();
  EXPECT_THAT(text, HasSubstr(R"([{"<|im_end|>": "<|im_end|>"}]<|im_end|><|im_end|>{"role")"));
}

TEST_F(ToolsTest, BadJsonIsTheClientsFault) {
  const auto codec = Codec("{{ tools }}{{ messages[0].content }}");
  const std::vector<ChatMessage> good = {{"user", "x"}};
  const std::vector<ChatMessage> bad = {{"user", "x", "[]"}};
  const std::string deep(100, '[');
  const struct {
    const char* named;
    ChatPrompt prompt;
  } kCases[] = {
      {"tools: is not valid JSON", {.messages = good, .tools_json = "[1"}},
      {"tools: is not valid JSON", {.messages = good, .tools_json = deep}},
      {"tools: is not a JSON array", {.messages = good, .tools_json = "{}"}},
      {"tools: an integer beyond", {.messages = good, .tools_json = "[18446744073709551615]"}},
      {"a message: is not a JSON object", {.messages = bad}},
      {"template arguments: is not a JSON object", {.messages = good, .arguments_json = "1"}},
      {"'messages' is taken", {.messages = good, .arguments_json = R"({"messages": []})"}},
      {"'tools' is taken", {.messages = good, .arguments_json = R"({"tools": []})"}},
      {"'eos_token' is taken", {.messages = good, .arguments_json = R"({"eos_token": ""})"}},
  };
  for (const auto& one : kCases) {
    const absl::Status status = codec->EncodeChatPrompt(one.prompt).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.named;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.named));
  }
  EXPECT_TRUE(codec->EncodeChatPrompt({.messages = good, .tools_json = "[]"}).ok());
}

}  // namespace
}  // namespace intactkv
