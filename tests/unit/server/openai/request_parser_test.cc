// Bodies of the generation endpoints -> RawRequest: every field alone, in each type that it may and
// may not have. What the values mean is the validator's business and tested there.
#include "server/openai/request_parser.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace intactkv {
namespace {

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

// The body {"<name>": <value>}.
std::string Field(std::string_view name, std::string_view value) {
  return "{\"" + std::string(name) + "\":" + std::string(value) + "}";
}

RawRequest Parse(std::string_view body, Endpoint endpoint = Endpoint::kChat) {
  auto raw = ParseGenerationRequest(body, endpoint);
  EXPECT_TRUE(raw.ok()) << body << ": " << raw.error().message;
  return raw.ok() ? std::move(raw).value() : RawRequest();
}

// "" if it is accepted, else "code param".
std::string Verdict(std::string_view body, Endpoint endpoint = Endpoint::kChat) {
  const auto raw = ParseGenerationRequest(body, endpoint);
  if (raw.ok()) return "";
  EXPECT_EQ(raw.error().http_status, 400);
  return raw.error().code + " " + raw.error().param;
}

// Nothing but endpoint and names of errors is set.
void ExpectEmpty(const RawRequest& raw) {
  EXPECT_FALSE(raw.model || raw.messages || raw.prompt || raw.token_ids || raw.max_tokens ||
               raw.max_completion_tokens || raw.min_tokens || raw.temperature || raw.top_p ||
               raw.min_p || raw.top_k || raw.seed || raw.n || raw.stop || raw.stop_token_ids ||
               raw.ignore_eos || raw.logprobs || raw.top_logprobs || raw.completion_logprobs ||
               raw.stream || raw.include_usage || raw.return_token_ids || raw.cache_salt ||
               raw.frequency_penalty || raw.presence_penalty || raw.repetition_penalty ||
               raw.logit_bias || raw.allowed_token_ids || raw.bad_words ||
               raw.include_stop_str_in_output);
  EXPECT_TRUE(raw.unsupported.empty());
}

TEST(RequestParserTest, WhatIsNotSentIsAbsent) {
  for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletions}) {
    const RawRequest raw = Parse("{}", endpoint);
    EXPECT_EQ(raw.endpoint, endpoint);
    EXPECT_EQ(raw.token_ids_param, "token_ids");
    ExpectEmpty(raw);
  }
}

constexpr const char* kAllFields[] = {"model",
                                      "messages",
                                      "prompt",
                                      "token_ids",
                                      "max_tokens",
                                      "min_tokens",
                                      "temperature",
                                      "max_completion_tokens",
                                      "top_k",
                                      "top_p",
                                      "min_p",
                                      "seed",
                                      "n",
                                      "stop",
                                      "stop_token_ids",
                                      "ignore_eos",
                                      "logprobs",
                                      "top_logprobs",
                                      "stream",
                                      "stream_options",
                                      "cache_salt",
                                      "frequency_penalty",
                                      "presence_penalty",
                                      "repetition_penalty",
                                      "logit_bias",
                                      "allowed_token_ids",
                                      "bad_words",
                                      "include_stop_str_in_output",
                                      "return_token_ids"};

TEST(RequestParserTest, NullIsAbsent) {
  for (const char* name : kAllFields) {
    SCOPED_TRACE(name);
    ExpectEmpty(Parse(Field(name, "null")));
    ExpectEmpty(Parse(Field(name, "null"), Endpoint::kCompletions));
  }
}

TEST(RequestParserTest, UnknownFieldsAreIgnored) {
  ExpectEmpty(Parse(R"({"user":"u","metadata":{"a":1},"store":true,"service_tier":"auto",
                        "parallel_tool_calls":true,"prompt_cache_key":"k","x":[{"y":null}],
                        "Temperature":9})"));
}

struct IntegerField {
  const char* name;
  std::optional<int64_t> RawRequest::* field;
};
constexpr IntegerField kIntegers[] = {
    {"max_tokens", &RawRequest::max_tokens},
    {"max_completion_tokens", &RawRequest::max_completion_tokens},
    {"min_tokens", &RawRequest::min_tokens},
    {"top_k", &RawRequest::top_k},
    {"seed", &RawRequest::seed},
    {"n", &RawRequest::n},
    {"top_logprobs", &RawRequest::top_logprobs},
};

TEST(RequestParserTest, EveryIntegerField) {
  for (const IntegerField& field : kIntegers) {
    SCOPED_TRACE(field.name);
    const std::string name(field.name);
    EXPECT_EQ(Parse(Field(name, "7")).*field.field, 7);
    EXPECT_EQ(Parse(Field(name, "-1")).*field.field, -1);
    EXPECT_EQ(Parse(Field(name, "7.0")).*field.field, 7);
    EXPECT_EQ(Parse(Field(name, "9223372036854775807")).*field.field, kInt64Max);
    EXPECT_EQ(Parse(Field(name, "-9223372036854775808")).*field.field, kInt64Min);
    for (const char* value : {"9223372036854775808", "-9223372036854775809", "1e400"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_value " + name) << value;
    }
    for (const char* value : {"\"7\"", "7.5", "true", "[7]", "{}"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_type " + name) << value;
    }
  }
}

struct DoubleField {
  const char* name;
  std::optional<double> RawRequest::* field;
};
constexpr DoubleField kDoubles[] = {
    {"temperature", &RawRequest::temperature},
    {"top_p", &RawRequest::top_p},
    {"min_p", &RawRequest::min_p},
    {"frequency_penalty", &RawRequest::frequency_penalty},
    {"presence_penalty", &RawRequest::presence_penalty},
    {"repetition_penalty", &RawRequest::repetition_penalty},
};

TEST(RequestParserTest, EveryRealField) {
  for (const DoubleField& field : kDoubles) {
    SCOPED_TRACE(field.name);
    const std::string name(field.name);
    EXPECT_EQ(Parse(Field(name, "0.25")).*field.field, 0.25);
    EXPECT_EQ(Parse(Field(name, "1")).*field.field, 1.0);
    EXPECT_EQ(Parse(Field(name, "-3e7")).*field.field, -3e7);
    for (const char* value : {"1e400", "-1e400"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_value " + name);
    }
    for (const char* value : {"\"0.5\"", "true", "[]", "{}"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_type " + name) << value;
    }
  }
}

struct FlagField {
  const char* name;
  std::optional<bool> RawRequest::* field;
};
constexpr FlagField kFlags[] = {
    {"ignore_eos", &RawRequest::ignore_eos},
    {"logprobs", &RawRequest::logprobs},
    {"stream", &RawRequest::stream},
    {"return_token_ids", &RawRequest::return_token_ids},
    {"include_stop_str_in_output", &RawRequest::include_stop_str_in_output},
};

TEST(RequestParserTest, EveryFlag) {
  for (const FlagField& field : kFlags) {
    SCOPED_TRACE(field.name);
    const std::string name(field.name);
    EXPECT_EQ(Parse(Field(name, "true")).*field.field, true);
    EXPECT_EQ(Parse(Field(name, "false")).*field.field, false);
    for (const char* value : {"0", "1", "\"true\"", "[]", "{}"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_type " + name) << value;
    }
  }
}

TEST(RequestParserTest, Strings) {
  EXPECT_EQ(Parse(R"({"model":"m"})").model, "m");
  EXPECT_EQ(Parse(R"({"model":""})").model, "");
  EXPECT_EQ(Parse(R"({"cache_salt":"s\u00e9"})").cache_salt, "s\xC3\xA9");
  for (const char* name : {"model", "cache_salt"}) {
    for (const char* value : {"0", "true", "[\"m\"]", "{}"}) {
      EXPECT_EQ(Verdict(Field(name, value)), std::string("invalid_type ") + name) << value;
    }
  }
}

TEST(RequestParserTest, LogprobsIsANumberInCompletions) {
  const RawRequest raw = Parse(R"({"logprobs":3})", Endpoint::kCompletions);
  EXPECT_EQ(raw.completion_logprobs, 3);
  EXPECT_FALSE(raw.logprobs.has_value());
  EXPECT_EQ(Verdict(R"({"logprobs":true})", Endpoint::kCompletions), "invalid_type logprobs");
  EXPECT_EQ(Verdict(R"({"logprobs":3})", Endpoint::kChat), "invalid_type logprobs");
  EXPECT_FALSE(Parse(R"({"top_logprobs":3})", Endpoint::kCompletions).top_logprobs.has_value())
      << "a chat's field is unknown there";
}

TEST(RequestParserTest, ListsOfStrings) {
  using Strings = std::vector<std::string>;
  const auto check = [](const std::string& name, std::optional<Strings> RawRequest::* field) {
    SCOPED_TRACE(name);
    EXPECT_EQ(Parse(Field(name, "\"a\"")).*field, Strings{"a"});
    EXPECT_EQ(Parse(Field(name, "\"\"")).*field, Strings{""}) << "the validator refuses it";
    EXPECT_EQ(Parse(Field(name, R"(["a","b"])")).*field, (Strings{"a", "b"}));
    EXPECT_EQ(Parse(Field(name, "[]")).*field, Strings());
    for (const char* value : {"0", "true", "{}", "[1]", "[\"a\",null]", "[[\"a\"]]"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_type " + name) << value;
    }
  };
  check("stop", &RawRequest::stop);
  check("bad_words", &RawRequest::bad_words);
}

TEST(RequestParserTest, ListsOfIds) {
  using Ids = std::vector<int64_t>;
  const auto check = [](const std::string& name, std::optional<Ids> RawRequest::* field) {
    SCOPED_TRACE(name);
    EXPECT_EQ(Parse(Field(name, "[1,-2,3.0]")).*field, (Ids{1, -2, 3}));
    for (const char* value : {"1", "\"1\"", "[\"1\"]", "[1.5]", "[null]", "{}"}) {
      EXPECT_EQ(Verdict(Field(name, value)), "invalid_type " + name) << value;
    }
  };
  check("stop_token_ids", &RawRequest::stop_token_ids);
  check("allowed_token_ids", &RawRequest::allowed_token_ids);
}

TEST(RequestParserTest, LogitBias) {
  using Biases = std::vector<std::pair<int64_t, double>>;
  EXPECT_EQ(Parse(R"({"logit_bias":{"5":1,"-7":-0.5}})").logit_bias,
            (Biases{{5, 1.0}, {-7, -0.5}}));
  EXPECT_EQ(Parse(R"({"logit_bias":{}})").logit_bias, Biases());
  for (const char* key : {"a", "", "5a", " 5", "+5", "1.5", "0x5", "9223372036854775808"}) {
    EXPECT_EQ(Verdict(R"({"logit_bias":{")" + std::string(key) + R"(":1}})"),
              "invalid_value logit_bias")
        << key;
  }
  for (const char* value : {"1", "[]", "\"5\"", R"({"5":"1"})", R"({"5":null})", R"({"5":[]})"}) {
    EXPECT_EQ(Verdict(Field("logit_bias", value)), "invalid_type logit_bias") << value;
  }
}

TEST(RequestParserTest, StreamOptions) {
  EXPECT_EQ(Parse(R"({"stream_options":{"include_usage":true}})").include_usage, true);
  EXPECT_EQ(Parse(R"({"stream_options":{"include_usage":false}})").include_usage, false);
  EXPECT_EQ(Parse(R"({"stream_options":{}})").include_usage, false);
  EXPECT_EQ(Parse(R"({"stream_options":{"include_usage":null,"other":1}})").include_usage, false);
  for (const char* value : {"true", "[]", "\"include_usage\"", "1"}) {
    EXPECT_EQ(Verdict(Field("stream_options", value)), "invalid_type stream_options") << value;
  }
  EXPECT_EQ(Verdict(R"({"stream_options":{"include_usage":1}})"),
            "invalid_type stream_options.include_usage");
}

TEST(RequestParserTest, PromptAsText) {
  for (const char* body : {R"({"prompt":"hi"})", R"({"prompt":["hi"]})"}) {
    const RawRequest raw = Parse(body, Endpoint::kCompletions);
    EXPECT_EQ(raw.prompt, "hi") << body;
    EXPECT_FALSE(raw.token_ids.has_value());
  }
  EXPECT_EQ(Parse(R"({"prompt":""})", Endpoint::kCompletions).prompt, "");
}

TEST(RequestParserTest, PromptAsTokenIds) {
  for (const char* body : {R"({"prompt":[1,2]})", R"({"prompt":[[1,2]]})"}) {
    const RawRequest raw = Parse(body, Endpoint::kCompletions);
    EXPECT_EQ(raw.token_ids, (std::vector<int64_t>{1, 2})) << body;
    EXPECT_EQ(raw.token_ids_param, "prompt") << "errors name the field that the client sent";
    EXPECT_FALSE(raw.prompt.has_value());
  }
  EXPECT_EQ(Parse(R"({"prompt":[]})", Endpoint::kCompletions).token_ids, std::vector<int64_t>());
  EXPECT_EQ(Parse(R"({"token_ids":[5]})", Endpoint::kCompletions).token_ids_param, "token_ids");
}

TEST(RequestParserTest, PromptsThatAreNone) {
  const struct {
    const char* value;
    const char* verdict;
  } rows[] = {
      {"[\"a\",\"b\"]", "unsupported_parameter prompt"},  // several prompts
      {"[[1],[2]]", "unsupported_parameter prompt"},
      {"1", "invalid_type prompt"},
      {"true", "invalid_type prompt"},
      {"{}", "invalid_type prompt"},
      {"[null]", "invalid_type prompt"},
      {"[{}]", "invalid_type prompt"},
      {"[[\"a\"]]", "invalid_type prompt"},
      {"[[[1]]]", "invalid_type prompt"},
      {"[1,\"a\"]", "invalid_type prompt"},
      {"[1.5]", "invalid_type prompt"},
      {"[1e400]", "invalid_value prompt"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(Verdict(Field("prompt", row.value), Endpoint::kCompletions), row.verdict)
        << row.value;
  }
  EXPECT_EQ(Verdict(R"({"prompt":[1],"token_ids":[1]})", Endpoint::kCompletions),
            "invalid_value token_ids");
}

TEST(RequestParserTest, TheFirstFaultInAFixedOrderIsReported) {
  EXPECT_EQ(Verdict(R"({"n":"x","model":1,"seed":"y"})"), "invalid_type model");
  EXPECT_EQ(Verdict(R"({"cache_salt":1,"n":"x"})"), "invalid_type n");
  EXPECT_EQ(Verdict(R"({"tools":[1],"n":"x"})"), "invalid_type n")
      << "what is unsupported is the validator's verdict";
}

TEST(RequestParserTest, BodiesThatAreNoObjects) {
  for (const char* body : {"", "[]", "{", "nope", "{\"n\":1,\"n\":2}"}) {
    EXPECT_EQ(Verdict(body), "invalid_json ") << body;
    EXPECT_EQ(Verdict(body, Endpoint::kCompletions), "invalid_json ") << body;
  }
}

TEST(RequestParserTest, UnsupportedParametersAreNamedForTheValidator) {
  const RawRequest raw = Parse(R"({"messages":[{"role":"user","content":"a"}],"tools":[{}],
                                   "suffix":"x","best_of":1})");
  EXPECT_EQ(raw.unsupported, (std::vector<std::string>{"tools", "suffix"}));
  ASSERT_TRUE(raw.messages.has_value());
}

}  // namespace
}  // namespace intactkv
