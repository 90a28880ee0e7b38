// One generation from the body to the last byte, without a socket: what is written, in which order,
// and when an error is still a status.
#include "server/openai/generation_handler.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "engine/base/monotonic_time.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

namespace json = boost::json;

constexpr char kMessages[] = R"("model":"m","messages":[{"role":"user","content":"hi"}])";

class GenerationHandlerTest : public ::testing::Test {
 protected:
  GenerationHandlerTest() {
    options_.log_requests = false;
    context_.Publish({.engine = &engine_,
                      .codec = &codec_,
                      .model = {.name = "m", .max_model_len = 100, .vocab_size = kFakeVocabSize}});
    engine_.SetAnswer("abc");
  }
  std::shared_ptr<FakeExchange> Start(Endpoint endpoint, const std::string& body) {
    const auto exchange = FakeExchange::Post("/v1/x", body);
    exchanges_.push_back(exchange);
    HandleGeneration(endpoint, context_, options_, exchange);
    return exchange;
  }
  std::shared_ptr<FakeExchange> Run(Endpoint endpoint, const std::string& body) {
    const auto exchange = Start(endpoint, body);
    exchange->RunUntilComplete();
    EXPECT_EQ(exchange->num_answers, 1);
    return exchange;
  }
  std::shared_ptr<FakeExchange> Chat(const std::string& more) {
    return Run(Endpoint::kChat, "{" + std::string(kMessages) + more + "}");
  }

  FakeTextCodec codec_;
  ServerContext context_;
  ApiOptions options_;
  std::vector<std::shared_ptr<FakeExchange>> exchanges_;  // the engine may still post to them
  FakeEngine engine_;
};

// The data of each event; the stream must be well-formed and end with [DONE].
std::vector<json::value> Events(const FakeExchange& exchange) {
  EXPECT_TRUE(exchange.stream_ended);
  EXPECT_EQ(exchange.answer.content_type, "text/event-stream; charset=utf-8");
  EXPECT_FALSE(exchange.writes.empty());
  std::vector<json::value> events;
  for (size_t i = 0; i < exchange.writes.size(); ++i) {
    const std::string& event = exchange.writes[i];
    EXPECT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n")) << event;
    const std::string data = event.substr(6, event.size() - 8);
    EXPECT_EQ(data.find('\n'), std::string::npos);
    const bool last = i + 1 == exchange.writes.size();
    EXPECT_EQ(data == "[DONE]", last) << event;
    if (!last) events.push_back(json::parse(data));
  }
  return events;
}

std::string ContentOf(const std::vector<json::value>& events, int64_t choice = 0) {
  std::string text;
  for (const json::value& event : events) {
    for (const json::value& item : event.at("choices").as_array()) {
      const json::object* delta = item.at("delta").if_object();
      if (item.at("index") != choice || !delta->contains("content")) continue;
      text += std::string(delta->at("content").as_string());
    }
  }
  return text;
}

TEST_F(GenerationHandlerTest, TheEngineKnowsTheRequestByTheNameThatTheClientSees) {
  Chat("");
  ASSERT_EQ(engine_.submitted().size(), 1u);
  EXPECT_EQ(engine_.submitted()[0].request_id, "req-1");
}

TEST_F(GenerationHandlerTest, WholeChat) {
  engine_.SetCached(2, 1);
  const auto exchange = Chat("");
  EXPECT_EQ(exchange->answer.status, 200);
  const json::value body = json::parse(exchange->answer.body);
  EXPECT_EQ(body.at("object"), "chat.completion");
  EXPECT_EQ(body.at("id"), "chatcmpl-req-1");
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "abc");
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 5);  // role, h, i, end, assistant
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 4);
  EXPECT_EQ(body.at("usage").at("prompt_tokens_details").at("cached_tokens"), 2);
}

TEST_F(GenerationHandlerTest, StreamedChat) {
  const auto events = Events(*Chat(R"(,"stream":true)"));
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events.front().at("choices").at(0).at("delta"),
            json::parse(R"({"role":"assistant","content":""})"));
  EXPECT_EQ(ContentOf(events), "abc");
  EXPECT_EQ(events.back().at("choices").at(0).at("delta"), json::object());
  EXPECT_EQ(events.back().at("choices").at(0).at("finish_reason"), "stop");
  for (const json::value& event : events) {
    EXPECT_EQ(event.at("object"), "chat.completion.chunk");
    EXPECT_EQ(event.at("id"), "chatcmpl-req-1");
    EXPECT_EQ(event.at("created"), events[0].at("created"));
    EXPECT_EQ(event.at("model"), "m");
    EXPECT_FALSE(event.as_object().contains("usage")) << "never without include_usage";
  }
}

TEST_F(GenerationHandlerTest, UsageIsTheLastChunkWhenAskedFor) {
  const auto events = Events(*Chat(R"(,"stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events.back().at("choices"), json::array());
  EXPECT_EQ(events.back().at("usage").at("completion_tokens"), 4);
  for (size_t i = 0; i + 1 < events.size(); ++i) EXPECT_TRUE(events[i].at("usage").is_null());
}

TEST_F(GenerationHandlerTest, EachChoiceHasItsRoleAndItsEnd) {
  engine_.SetScript([](const GenerationRequest&, int choice, int index) {
    return index < 2 + choice ? TokenId('a' + choice) : kFakeEnd;
  });
  const auto events = Events(*Chat(R"(,"stream":true,"n":3)"));
  std::vector<int> roles(3);
  std::vector<int> ends(3);
  for (const json::value& event : events) {
    const json::value& choice = event.at("choices").at(0);
    const auto k = static_cast<size_t>(choice.at("index").as_int64());
    roles[k] += choice.at("delta").as_object().contains("role") ? 1 : 0;
    ends[k] += choice.at("finish_reason").is_null() ? 0 : 1;
    EXPECT_LE(roles[k], 1);
    if (!choice.at("delta").as_object().contains("role")) {
      EXPECT_EQ(roles[k], 1) << "the role comes first";
    }
  }
  EXPECT_EQ(roles, (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(ends, (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(ContentOf(events, 0), "aa");
  EXPECT_EQ(ContentOf(events, 2), "cccc");
}

TEST_F(GenerationHandlerTest, Completions) {
  const auto whole =
      Run(Endpoint::kCompletions, R"({"model":"m","prompt":"hi","max_tokens":2,"logprobs":1})");
  const json::value body = json::parse(whole->answer.body);
  EXPECT_EQ(body.at("object"), "text_completion");
  EXPECT_EQ(body.at("id"), "cmpl-req-1");
  EXPECT_EQ(body.at("choices").at(0).at("text"), "ab");
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(body.at("choices").at(0).at("logprobs").at("tokens"), json::parse(R"(["a","b"])"));
  const auto streamed =
      Events(*Run(Endpoint::kCompletions, R"({"model":"m","prompt":[104,105],"stream":true})"));
  std::string text;
  for (const json::value& event : streamed) {
    EXPECT_EQ(event.at("object"), "text_completion");
    text += std::string(event.at("choices").at(0).at("text").as_string());
  }
  EXPECT_EQ(text, "abc");
}

TEST_F(GenerationHandlerTest, AnErrorBeforeTheFirstTokenIsAStatus) {
  for (const char* stream : {"", R"(,"stream":true)"}) {
    engine_.SetFailure(absl::InternalError("secret"), 0);
    const auto exchange = Chat(stream);
    EXPECT_EQ(exchange->answer.status, 500);
    EXPECT_EQ(exchange->answer.body.find("secret"), std::string::npos);
    EXPECT_TRUE(exchange->writes.empty());
    engine_.SetFailure(absl::InvalidArgumentError("too large"), 0);
    EXPECT_EQ(Chat(stream)->answer.status, 400);
    engine_.SetFailure(absl::DeadlineExceededError(""), 0);
    const auto late = Chat(stream);
    EXPECT_EQ(late->answer.status, 504);
    ASSERT_EQ(late->answer.headers.size(), 1u);
    EXPECT_EQ(late->answer.headers[0].name, "x-should-retry");
  }
}

TEST_F(GenerationHandlerTest, AnErrorAfterATokenIsAnEvent) {
  engine_.SetFailure(absl::InternalError(""), 2);
  const auto events = Events(*Chat(R"(,"stream":true)"));
  ASSERT_FALSE(events.empty());
  const json::object& last = events.back().as_object();
  ASSERT_TRUE(last.contains("error"));
  EXPECT_EQ(last.at("error").at("code"), "server_error");
  EXPECT_EQ(last.at("error").at("type"), "server_error");
  EXPECT_TRUE(last.at("error").at("param").is_null());
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    EXPECT_TRUE(events[i].at("choices").at(0).at("finish_reason").is_null());
  }
}

TEST_F(GenerationHandlerTest, AWholeAnswerThatFailsLateIsAStatusToo) {
  engine_.SetFailure(absl::InternalError(""), 2);
  EXPECT_EQ(Chat("")->answer.status, 500);
}

TEST_F(GenerationHandlerTest, WhatTheDoorRefuses) {
  const auto refusal = [&](const absl::Status& status) {
    engine_.SetSubmitStatus(status);
    return Chat(R"(,"stream":true)")->answer;
  };
  const HttpResponse full = refusal(absl::ResourceExhaustedError("queue"));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(json::parse(full.body).at("error").at("code"), "queue_full");
  ASSERT_EQ(full.headers.size(), 1u);
  EXPECT_EQ(full.headers[0].name, "Retry-After");
  EXPECT_EQ(refusal(absl::UnavailableError("")).status, 503);
  engine_.SetSubmitStatus(absl::OkStatus());
  EXPECT_TRUE(engine_.submitted().empty());
}

TEST_F(GenerationHandlerTest, BadBodiesNeverReachTheEngine) {
  const struct {
    Endpoint endpoint;
    const char* body;
    int status;
    const char* code;
  } rows[] = {
      {Endpoint::kChat, "{", 400, "invalid_json"},
      {Endpoint::kChat, R"({"model":"m"})", 400, "missing_required_parameter"},
      {Endpoint::kChat, R"({"model":"x","messages":[]})", 404, "model_not_found"},
      {Endpoint::kChat, R"({"model":"m","messages":[{"role":"user","content":"refuse me"}]})", 400,
       "invalid_value"},
      {Endpoint::kCompletions, R"({"model":"m","prompt":"x","n":9})", 400, "invalid_value"},
      {Endpoint::kChat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"echo":true})",
       400, "unsupported_parameter"},
      {Endpoint::kCompletions, R"({"model":"m","prompt":"x","echo":1})", 400, "invalid_type"},
      {Endpoint::kCompletions, R"({"model":"m","prompt":"x","max_tokens":0})", 400,
       "invalid_value"},
      {Endpoint::kCompletions, R"({"model":"m","prompt":"x","max_tokens":100})", 400,
       "context_length_exceeded"},
  };
  for (const auto& row : rows) {
    const auto exchange = Run(row.endpoint, row.body);
    EXPECT_EQ(exchange->answer.status, row.status) << row.body;
    EXPECT_EQ(json::parse(exchange->answer.body).at("error").at("code"), row.code) << row.body;
  }
  EXPECT_TRUE(engine_.submitted().empty());
}

TEST_F(GenerationHandlerTest, WhileDrainingNothingStarts) {
  context_.BeginDrain();
  const auto exchange = Chat("");
  EXPECT_EQ(exchange->answer.status, 503);
  EXPECT_EQ(json::parse(exchange->answer.body).at("error").at("code"), "draining");
}

TEST_F(GenerationHandlerTest, WhileLoadingNothingStarts) {
  const ServerContext loading;
  const auto exchange = FakeExchange::Post("/v1/x", "{}");
  HandleGeneration(Endpoint::kChat, loading, options_, exchange);
  EXPECT_EQ(exchange->answer.status, 503);
  EXPECT_EQ(json::parse(exchange->answer.body).at("error").at("code"), "loading");
}

TEST_F(GenerationHandlerTest, AClientThatLeavesCancels) {
  engine_.SetScript([](const GenerationRequest&, int, int) { return TokenId('a'); });
  engine_.AllowSteps(2);
  const auto exchange =
      Start(Endpoint::kChat, "{" + std::string(kMessages) + R"(,"stream":true,"max_tokens":90})");
  engine_.WaitForSubmitted(1);
  while (exchange->writes.size() < 2) exchange->RunOne();
  const size_t written = exchange->writes.size();
  exchange->Abort();
  engine_.WaitForCancelled(1);
  engine_.WaitForIdle();
  EXPECT_EQ(exchange->writes.size(), written);
}

TEST_F(GenerationHandlerTest, ASlowReaderIsWrittenToWhenItHasRoomAgain) {
  const auto exchange = Start(Endpoint::kChat, "{" + std::string(kMessages) + R"(,"stream":true})");
  exchange->writable = false;
  engine_.WaitForIdle();  // the engine never waits for the reader
  exchange->RunOne();
  EXPECT_TRUE(exchange->writes.empty());
  exchange->BecomeWritable();
  if (!exchange->complete()) exchange->RunUntilComplete();
  EXPECT_EQ(ContentOf(Events(*exchange)), "abc");
}

TEST_F(GenerationHandlerTest, TheTimeLimitIsTheRequestsDeadline) {
  options_.request_timeout = absl::Seconds(5);
  const absl::Time before = MonotonicNow();
  (void)Chat("");
  const absl::Time deadline = engine_.submitted().at(0).deadline;
  EXPECT_GE(deadline, before + absl::Seconds(5));
  EXPECT_LE(deadline, MonotonicNow() + absl::Seconds(5));
}

}  // namespace
}  // namespace intactkv
