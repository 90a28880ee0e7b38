#include "server/grpc/proto_convert.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "server/request/request_limits.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

v1::GenerateRequest Proto(const std::string& text) {
  v1::GenerateRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}
RawRequest Raw(const std::string& text) { return ToRawRequest(Proto(text)); }

ServedModel Model() { return {.name = "m", .max_model_len = 100, .vocab_size = kFakeVocabSize}; }

// "" if it is accepted, else "code param".
std::string Verdict(const std::string& text) {
  const auto valid = ValidateRequest(Raw(text), Model());
  return valid.ok() ? "" : valid.error().code + " " + valid.error().param;
}

constexpr char kChat[] = R"(messages { role: "user" content: "hi" } )";

TEST(ToRawRequestTest, WhatIsNotSentIsAbsent) {
  const RawRequest raw = Raw("");
  EXPECT_EQ(raw.endpoint, Endpoint::kGenerate);
  EXPECT_EQ(raw.token_ids_param, "token_ids");
  EXPECT_FALSE(raw.model || raw.messages || raw.prompt || raw.token_ids || raw.max_tokens ||
               raw.max_completion_tokens || raw.min_tokens || raw.temperature || raw.top_p ||
               raw.min_p || raw.top_k || raw.seed || raw.n || raw.stop || raw.stop_token_ids ||
               raw.ignore_eos || raw.logprobs || raw.top_logprobs || raw.completion_logprobs ||
               raw.stream || raw.include_usage || raw.return_token_ids || raw.cache_salt ||
               raw.request_id || raw.frequency_penalty || raw.presence_penalty ||
               raw.repetition_penalty || raw.logit_bias || raw.allowed_token_ids || raw.bad_words ||
               raw.include_stop_str_in_output || raw.echo);
  EXPECT_TRUE(raw.unsupported.empty());
}

struct IntegerField {
  const char* name;
  std::optional<int64_t> RawRequest::* field;
};
constexpr IntegerField kIntegers[] = {
    {"max_tokens", &RawRequest::max_tokens},
    {"min_tokens", &RawRequest::min_tokens},
    {"top_k", &RawRequest::top_k},
    {"seed", &RawRequest::seed},
    {"n", &RawRequest::n},
    {"top_logprobs", &RawRequest::top_logprobs},
    {"max_completion_tokens", &RawRequest::max_completion_tokens},
};
struct DoubleField {
  const char* name;
  std::optional<double> RawRequest::* field;
};
constexpr DoubleField kDoubles[] = {{"temperature", &RawRequest::temperature},
                                    {"top_p", &RawRequest::top_p},
                                    {"min_p", &RawRequest::min_p},
                                    {"frequency_penalty", &RawRequest::frequency_penalty},
                                    {"presence_penalty", &RawRequest::presence_penalty},
                                    {"repetition_penalty", &RawRequest::repetition_penalty}};
struct FlagField {
  const char* name;
  std::optional<bool> RawRequest::* field;
};
constexpr FlagField kFlags[] = {
    {"ignore_eos", &RawRequest::ignore_eos},
    {"logprobs", &RawRequest::logprobs},
    {"return_token_ids", &RawRequest::return_token_ids},
    {"include_stop_str_in_output", &RawRequest::include_stop_str_in_output},
    {"echo", &RawRequest::echo}};
struct StringField {
  const char* name;
  std::optional<std::string> RawRequest::* field;
};
constexpr StringField kStrings[] = {{"model", &RawRequest::model},
                                    {"prompt", &RawRequest::prompt},
                                    {"cache_salt", &RawRequest::cache_salt},
                                    {"request_id", &RawRequest::request_id}};

// A zero that was sent is not a field that was not.
TEST(ToRawRequestTest, EveryScalarWithItsValueAndWithZero) {
  const auto set = [](const char* name, const std::string& value) {
    return Raw(std::string(name) + ": " + value);
  };
  for (const IntegerField& f : kIntegers) {
    for (const int64_t value :
         {int64_t{0}, int64_t{7}, int64_t{-1}, std::numeric_limits<int64_t>::max(),
          std::numeric_limits<int64_t>::min()}) {
      EXPECT_EQ(set(f.name, std::to_string(value)).*f.field, value) << f.name;
    }
  }
  for (const DoubleField& f : kDoubles) {
    EXPECT_EQ(set(f.name, "0").*f.field, 0.0) << f.name;
    EXPECT_EQ(set(f.name, "0.7").*f.field, 0.7) << f.name;
    const auto nan = set(f.name, "nan").*f.field;
    EXPECT_TRUE(nan.has_value() && std::isnan(*nan)) << f.name;
  }
  for (const FlagField& f : kFlags) {
    EXPECT_EQ(set(f.name, "true").*f.field, true) << f.name;
    EXPECT_EQ(set(f.name, "false").*f.field, false) << f.name;
  }
  for (const StringField& f : kStrings) {
    EXPECT_EQ(set(f.name, "\"\"").*f.field, "") << f.name;
    EXPECT_EQ(set(f.name, "\"x\"").*f.field, "x") << f.name;
  }
}

// The tables above and the fields tested below are all that the message has: a new field needs its
// line here.
TEST(ToRawRequestTest, NoFieldIsForgotten) {
  std::set<std::string> tested = {"messages",          "token_ids", "stop",
                                  "stop_token_ids",    "user",      "logit_bias",
                                  "allowed_token_ids", "bad_words"};
  for (const IntegerField& f : kIntegers) tested.insert(f.name);
  for (const DoubleField& f : kDoubles) tested.insert(f.name);
  for (const FlagField& f : kFlags) tested.insert(f.name);
  for (const StringField& f : kStrings) tested.insert(f.name);
  const google::protobuf::Descriptor* descriptor = v1::GenerateRequest::descriptor();
  EXPECT_EQ(static_cast<size_t>(descriptor->field_count()), tested.size());
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = descriptor->field(i);
    EXPECT_TRUE(tested.contains(field->name())) << field->name();
    EXPECT_TRUE(field->is_repeated() || field->has_presence()) << field->name();
  }
}

TEST(ToRawRequestTest, Lists) {
  const RawRequest raw = Raw(R"(messages { role: "system" content: "a" }
                                messages { role: "user" }
                                token_ids { ids: 5 ids: -1 }
                                stop: "x" stop: "" stop_token_ids: 9 stop_token_ids: -9
                                allowed_token_ids: 4 allowed_token_ids: -4
                                bad_words: "b" bad_words: ""
                                logit_bias { key: 8 value: -1.5 }
                                user: "u")");
  ASSERT_EQ(raw.messages.value().size(), 2u);
  EXPECT_EQ(raw.messages->at(0).role, "system");
  EXPECT_EQ(raw.messages->at(0).content, "a");
  EXPECT_EQ(raw.messages->at(1).content, "");
  EXPECT_EQ(raw.token_ids, (std::vector<int64_t>{5, -1}));
  EXPECT_EQ(raw.stop, (std::vector<std::string>{"x", ""}));
  EXPECT_EQ(raw.stop_token_ids, (std::vector<int64_t>{9, -9}));
  EXPECT_EQ(raw.allowed_token_ids, (std::vector<int64_t>{4, -4}));
  EXPECT_EQ(raw.bad_words, (std::vector<std::string>{"b", ""}));
  EXPECT_EQ(raw.logit_bias, (std::vector<std::pair<int64_t, double>>{{8, -1.5}}));
  EXPECT_EQ(Raw("token_ids {}").token_ids, std::vector<int64_t>()) << "sent, and empty";
}

TEST(ToRawRequestTest, ExactlyOneOfTheThreePrompts) {
  const std::string chat = kChat;
  EXPECT_EQ(Verdict(chat), "");
  EXPECT_EQ(Verdict("prompt: \"hi\""), "");
  EXPECT_EQ(Verdict("token_ids { ids: 5 }"), "");
  EXPECT_EQ(Verdict(""), "missing_required_parameter messages");
  EXPECT_EQ(Verdict(chat + "prompt: \"hi\""), "invalid_value prompt");
  EXPECT_EQ(Verdict(chat + "prompt: \"\""), "invalid_value prompt");
  EXPECT_EQ(Verdict(chat + "token_ids { ids: 5 }"), "invalid_value token_ids");
  EXPECT_EQ(Verdict("prompt: \"hi\" token_ids { ids: 5 }"), "invalid_value token_ids");
  EXPECT_EQ(Verdict("prompt: \"\""), "invalid_value prompt");
  EXPECT_EQ(Verdict("token_ids {}"), "invalid_value token_ids");
}

TEST(ToRawRequestTest, FaultsHaveRestsNames) {
  const std::string chat = kChat;
  const struct {
    std::string text;
    const char* verdict;
  } rows[] = {
      {R"(messages { role: "wizard" content: "a" })", "invalid_value messages[0].role"},
      {R"(messages { content: "a" })", "invalid_value messages[0].role"},
      {chat + R"(messages { role: "USER" content: "a" })", "invalid_value messages[1].role"},
      {chat + R"(model: "other")", "model_not_found model"},
      {chat + "max_tokens: 0", "invalid_value max_tokens"},
      {chat + "max_tokens: 1 max_completion_tokens: 2", "invalid_value max_completion_tokens"},
      {chat + "temperature: nan", "invalid_value temperature"},
      {chat + "temperature: inf", "invalid_value temperature"},
      {chat + "temperature: 2.1", "invalid_value temperature"},
      {chat + "top_p: 0", "invalid_value top_p"},
      {chat + "top_k: 0", "invalid_value top_k"},
      {chat + "min_p: -0.1", "invalid_value min_p"},
      {chat + "n: 0", "invalid_value n"},
      {chat + "n: 9", "invalid_value n"},
      {chat + "stop: \"\"", "invalid_value stop"},
      {chat + "stop_token_ids: 260", "invalid_value stop_token_ids"},
      {chat + "top_logprobs: 1", "invalid_value top_logprobs"},
      {chat + "logprobs: true top_logprobs: 21", "invalid_value top_logprobs"},
      {chat + "cache_salt: \"\"", "invalid_value cache_salt"},
      {"token_ids { ids: 260 }", "invalid_value token_ids"},
      {"token_ids { ids: -1 }", "invalid_value token_ids"},
  };
  for (const auto& row : rows) EXPECT_EQ(Verdict(row.text), row.verdict) << row.text;
}

ChoiceDelta Delta(std::vector<SampledToken> tokens, FinishReason finish = FinishReason::kNone) {
  return {.choice = 2, .text = "\xC3\xA9", .tokens = std::move(tokens), .finish = finish};
}
SampledToken Token(TokenId id, float logprob = 0.0f, std::vector<TokenLogprob> top = {}) {
  return {.token = id, .logprob = logprob, .top = std::move(top)};
}

class ToResponseTest : public ::testing::Test {
 protected:
  v1::GenerateResponse Response(const ChoiceDelta& delta, const std::string& request) {
    const auto valid = ValidateRequest(Raw(request), Model());
    EXPECT_TRUE(valid.ok());
    return ToResponse({.id = "id", .created = 7, .model = "m"}, delta, codec_, valid.value());
  }
  FakeTextCodec codec_;
};

TEST_F(ToResponseTest, TextAndIdentity) {
  const v1::GenerateResponse out = Response(Delta({Token(TokenId(5))}), kChat);
  EXPECT_EQ(out.id(), "id");
  EXPECT_EQ(out.created(), 7);
  EXPECT_EQ(out.model(), "m");
  EXPECT_EQ(out.index(), 2);
  EXPECT_EQ(out.text(), "\xC3\xA9");
  EXPECT_FALSE(out.has_finish_reason());
  EXPECT_FALSE(out.has_usage());
  EXPECT_EQ(out.token_ids_size(), 0) << "only with return_token_ids";
  EXPECT_EQ(out.logprobs_size(), 0) << "only with logprobs";
}

TEST_F(ToResponseTest, FinishReasons) {
  EXPECT_EQ(Response(Delta({}, FinishReason::kStop), kChat).finish_reason(), "stop");
  EXPECT_EQ(Response(Delta({}, FinishReason::kLength), kChat).finish_reason(), "length");
  for (const FinishReason reason :
       {FinishReason::kNone, FinishReason::kCancelled, FinishReason::kError}) {
    EXPECT_FALSE(Response(Delta({}, reason), kChat).has_finish_reason());
  }
}

TEST_F(ToResponseTest, TokenIds) {
  const v1::GenerateResponse out = Response(Delta({Token(TokenId(5)), Token(kFakeEnd)}),
                                            std::string(kChat) + "return_token_ids: true");
  ASSERT_EQ(out.token_ids_size(), 2);
  EXPECT_EQ(out.token_ids(0), 5);
  EXPECT_EQ(out.token_ids(1), kFakeEnd.value);
}

TEST_F(ToResponseTest, Logprobs) {
  const SampledToken half =
      Token(TokenId(0xC3), -0.5f,
            {{TokenId('a'), -1.5f}, {kFakeEnd, -std::numeric_limits<float>::infinity()}});
  const SampledToken broken = Token(TokenId('b'), std::nanf(""));
  const v1::GenerateResponse out =
      Response(Delta({half, broken}), std::string(kChat) + "logprobs: true top_logprobs: 2");
  ASSERT_EQ(out.logprobs_size(), 2);
  const v1::TokenLogprob& first = out.logprobs(0);
  EXPECT_EQ(first.token(), "\xEF\xBF\xBD") << "half a character is no text";
  EXPECT_EQ(first.token_bytes(), "\xC3");
  EXPECT_EQ(first.token_id(), 0xC3);
  EXPECT_EQ(first.logprob(), -0.5);
  ASSERT_EQ(first.top_logprobs_size(), 2);
  EXPECT_EQ(first.top_logprobs(0).token(), "a");
  EXPECT_EQ(first.top_logprobs(0).logprob(), -1.5);
  EXPECT_EQ(first.top_logprobs(1).token(), "<|end|>");
  EXPECT_EQ(first.top_logprobs(1).logprob(), static_cast<double>(kLowestLogprob));
  EXPECT_EQ(out.logprobs(1).logprob(), static_cast<double>(kLowestLogprob));
  EXPECT_EQ(out.logprobs(1).top_logprobs_size(), 0);
}

TEST_F(ToResponseTest, TheFirstTokenOfAnEchoHasNoLogprob) {
  ChoiceDelta delta = Delta({Token(TokenId('c'), -0.5f)});
  delta.prompt_tokens = {Token(TokenId('a')), Token(TokenId('b'), -1.5f)};
  for (const bool begins : {true, false}) {
    delta.prompt_begins = begins;
    const v1::GenerateResponse out =
        Response(delta, "prompt: 'ab' echo: true logprobs: true return_token_ids: true");
    ASSERT_EQ(out.logprobs_size(), 3);
    EXPECT_EQ(out.logprobs(0).token(), "a");
    EXPECT_EQ(out.logprobs(0).has_logprob(), !begins);
    EXPECT_EQ(out.logprobs(1).logprob(), -1.5);
    EXPECT_EQ(out.logprobs(2).token(), "c");
    EXPECT_EQ(out.token_ids_size(), 1) << "what was generated";
  }
}

TEST(ToUsageResponseTest, CarriesCachedTokensAlways) {
  const v1::GenerateResponse out = ToUsageResponse(
      {.id = "id", .created = 7, .model = "m"},
      {.prompt_tokens = 10, .completion_tokens = 4, .cached_tokens = 7, .pinned_tokens = 3});
  EXPECT_EQ(out.id(), "id");
  ASSERT_TRUE(out.has_usage());
  EXPECT_EQ(out.usage().prompt_tokens(), 10);
  EXPECT_EQ(out.usage().completion_tokens(), 4);
  EXPECT_EQ(out.usage().total_tokens(), 14);
  EXPECT_EQ(out.usage().prompt_tokens_details().cached_tokens(), 7);
  EXPECT_TRUE(ToUsageResponse({}, {}).usage().has_prompt_tokens_details());
}

TEST(FailCallTest, CodesOfErrors) {
  const struct {
    RequestError error;
    grpc::StatusCode code;
  } rows[] = {
      {InvalidValue("n", "must be 1."), grpc::StatusCode::INVALID_ARGUMENT},
      {MissingParameter("messages"), grpc::StatusCode::INVALID_ARGUMENT},
      {ContextLengthExceeded("prompt", 5, 6, 10), grpc::StatusCode::INVALID_ARGUMENT},
      {ModelNotFound(), grpc::StatusCode::NOT_FOUND},
      {LoadingError(), grpc::StatusCode::UNAVAILABLE},
      {DrainingError(), grpc::StatusCode::UNAVAILABLE},
      {ErrorFromStatus(absl::ResourceExhaustedError("q")), grpc::StatusCode::RESOURCE_EXHAUSTED},
      {ErrorFromStatus(absl::CancelledError("c")), grpc::StatusCode::CANCELLED},
      {ErrorFromStatus(absl::DeadlineExceededError("d")), grpc::StatusCode::DEADLINE_EXCEEDED},
      {ErrorFromStatus(absl::UnimplementedError("u")), grpc::StatusCode::UNIMPLEMENTED},
      {ErrorFromStatus(absl::InternalError("secret")), grpc::StatusCode::INTERNAL},
  };
  for (const auto& row : rows) {
    grpc::CallbackServerContext call;
    const grpc::Status status = FailCall(call, row.error);
    EXPECT_EQ(status.error_code(), row.code) << row.error.message;
    EXPECT_EQ(status.error_message(), row.error.message);
    EXPECT_EQ(status.error_message().find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace intactkv
