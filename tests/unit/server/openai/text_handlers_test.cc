#include "server/openai/text_handlers.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tests/support/fake_engine.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

namespace json = boost::json;
using TextHandler = void (*)(const ServerContext&, const std::shared_ptr<Exchange>&);

class TextHandlersTest : public ::testing::Test {
 protected:
  TextHandlersTest() {
    context_.Publish({.engine = &engine_,
                      .codec = &codec_,
                      .model = {.name = "m", .max_model_len = 100, .vocab_size = kFakeVocabSize}});
  }
  HttpResponse Call(TextHandler handler, const std::string& body) {
    const auto exchange = FakeExchange::Post("/", body);
    handler(context_, exchange);
    EXPECT_EQ(exchange->num_answers, 1);
    return exchange->answer;
  }
  // The body of a 200.
  json::value Answer(TextHandler handler, const std::string& body) {
    const HttpResponse response = Call(handler, body);
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.content_type, "application/json");
    return json::parse(response.body);
  }
  // "status code param" of an error.
  std::string Verdict(TextHandler handler, const std::string& body) {
    const HttpResponse response = Call(handler, body);
    const json::value value = json::parse(response.body);
    const json::object* error =
        value.as_object().contains("error") ? value.at("error").if_object() : nullptr;
    if (error == nullptr) return std::to_string(response.status);
    const json::value& param = error->at("param");
    return std::to_string(response.status) + " " + std::string(error->at("code").as_string()) +
           " " + (param.is_null() ? "null" : std::string(param.as_string()));
  }

  FakeEngine engine_;  // a context has one; nothing here uses it
  FakeTextCodec codec_;
  ServerContext context_;
};

TEST_F(TextHandlersTest, TokenizesText) {
  EXPECT_EQ(Answer(HandleTokenize, R"({"model":"m","prompt":"hi"})"),
            json::parse(R"({"count":2,"max_model_len":100,"tokens":[104,105]})"));
  EXPECT_EQ(Answer(HandleTokenize, R"({"prompt":""})"),
            json::parse(R"({"count":0,"max_model_len":100,"tokens":[]})"));
}

TEST_F(TextHandlersTest, TokenizesAChat) {
  const std::string messages = R"("messages":[{"role":"user","content":"a"}])";
  EXPECT_EQ(Answer(HandleTokenize, "{" + messages + "}").at("tokens"),
            json::parse("[258,97,256,259]"));
  EXPECT_EQ(
      Answer(HandleTokenize, "{" + messages + R"(,"add_generation_prompt":false})").at("tokens"),
      json::parse("[258,97,256]"));
}

TEST_F(TextHandlersTest, TokenizeNamesTheFault) {
  const struct {
    const char* body;
    const char* verdict;
  } rows[] = {
      {"", "400 invalid_json null"},
      {"[]", "400 invalid_json null"},
      {"{}", "400 missing_required_parameter prompt"},
      {R"({"prompt":null})", "400 missing_required_parameter prompt"},
      {R"({"prompt":1})", "400 invalid_type prompt"},
      {R"({"prompt":["a"]})", "400 invalid_type prompt"},
      {R"({"prompt":"a","messages":[]})", "400 invalid_value prompt"},
      {R"({"messages":1})", "400 invalid_type messages"},
      {R"({"messages":[{}]})", "400 missing_required_parameter messages[0].role"},
      {R"({"messages":[{"role":"user","content":"refuse me"}]})", "400 invalid_value messages"},
      {R"({"prompt":"a","add_generation_prompt":1})", "400 invalid_type add_generation_prompt"},
      {R"({"prompt":"a","model":"other"})", "404 model_not_found model"},
      {R"({"prompt":"a","model":1})", "400 invalid_type model"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(Verdict(HandleTokenize, row.body), row.verdict) << row.body;
}

TEST_F(TextHandlersTest, Detokenizes) {
  EXPECT_EQ(Answer(HandleDetokenize, R"({"tokens":[104,105],"model":"m"})"),
            json::parse(R"({"prompt":"hi"})"));
  EXPECT_EQ(Answer(HandleDetokenize, R"({"tokens":[]})"), json::parse(R"({"prompt":""})"));
  EXPECT_EQ(Answer(HandleDetokenize, R"({"tokens":[258,0,256]})"),
            json::parse(R"({"prompt":"<|user|>\u0000<|end|>"})"))
      << "specials by name";
  EXPECT_EQ(Answer(HandleDetokenize, R"({"tokens":[195,169,195,120]})"),
            json::parse(R"({"prompt":"\u00e9\ufffdx"})"))
      << "bytes that are no text";
}

TEST_F(TextHandlersTest, DetokenizeNamesTheFault) {
  EXPECT_EQ(Verdict(HandleDetokenize, R"({"tokens":[0,259]})"), "200");
  const struct {
    const char* body;
    const char* verdict;
  } rows[] = {
      {"{", "400 invalid_json null"},
      {"{}", "400 missing_required_parameter tokens"},
      {R"({"tokens":[-1]})", "400 invalid_value tokens"},
      {R"({"tokens":[260]})", "400 invalid_value tokens"},
      {R"({"tokens":[4294967296]})", "400 invalid_value tokens"},
      {R"({"tokens":[1e400]})", "400 invalid_value tokens"},
      {R"({"tokens":[1.5]})", "400 invalid_type tokens"},
      {R"({"tokens":["1"]})", "400 invalid_type tokens"},
      {R"({"tokens":1})", "400 invalid_type tokens"},
      {R"({"tokens":[1],"model":"other"})", "404 model_not_found model"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(Verdict(HandleDetokenize, row.body), row.verdict) << row.body;
  }
}

TEST_F(TextHandlersTest, RoundTrip) {
  const json::value tokens = Answer(HandleTokenize, R"({"prompt":"h\u00e9 \ud83d\ude00"})");
  json::object body;
  body["tokens"] = tokens.at("tokens");
  EXPECT_EQ(Answer(HandleDetokenize, json::serialize(body)).at("prompt"),
            "h\xC3\xA9 \xF0\x9F\x98\x80");
}

TEST_F(TextHandlersTest, WorksWhileDraining) {
  context_.BeginDrain();
  EXPECT_EQ(Verdict(HandleTokenize, R"({"prompt":"a"})"), "200");
}

TEST(TextHandlersLoadingTest, AnswersThatItIsLoading) {
  const ServerContext context;
  for (const TextHandler handler : {HandleTokenize, HandleDetokenize}) {
    const auto exchange = FakeExchange::Post("/", "{}");
    handler(context, exchange);
    EXPECT_EQ(exchange->answer.status, 503);
    EXPECT_NE(exchange->answer.body.find("\"loading\""), std::string::npos);
    ASSERT_EQ(exchange->answer.headers.size(), 1u);
    EXPECT_EQ(exchange->answer.headers[0].name, "Retry-After");
  }
}

}  // namespace
}  // namespace intactkv
