// What leaves the server: heads, error bodies, request ids, events of a stream.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/http/error_response.h"
#include "server/http/response_head.h"
#include "server/http/sse_writer.h"
#include "tests/support/fake_exchange.h"

namespace intactkv {
namespace {

// `head` without its Date line, which must be a date of now.
std::string WithoutDate(std::string head) {
  const size_t begin = head.find("Date: ");
  EXPECT_NE(begin, std::string::npos) << head;
  if (begin == std::string::npos) return head;
  const size_t end = head.find("\r\n", begin);
  absl::Time date;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", head.substr(begin + 6, end - begin - 6),
                              absl::UTCTimeZone(), &date, &error))
      << error;
  EXPECT_LT(absl::AbsDuration(absl::Now() - date), absl::Hours(1));
  head.erase(begin, end + 2 - begin);
  return head;
}

TEST(ResponseHeadTest, WithALength) {
  EXPECT_EQ(WithoutDate(RenderHead({.status = 404,
                                    .content_type = "application/json",
                                    .request_id = "req-1",
                                    .content_length = 0},
                                   {{"Allow", "GET"}, {"X", "y"}})),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nX-Request-Id: req-1\r\n"
            "Allow: GET\r\nX: y\r\nContent-Length: 0\r\n\r\n");
}

TEST(ResponseHeadTest, ChunkedAndTheConnection) {
  const ResponseHead base{.content_type = "t", .request_id = "r"};
  ResponseHead head = base;
  head.chunked = true;
  EXPECT_EQ(WithoutDate(RenderHead(head, {})),
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nX-Request-Id: r\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
  head = base;
  head.close = true;
  head.keep_alive = true;
  EXPECT_EQ(WithoutDate(RenderHead(head, {})),
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nX-Request-Id: r\r\nConnection: close\r\n\r\n");
  head.close = false;
  EXPECT_NE(RenderHead(head, {}).find("\r\nConnection: keep-alive\r\n"), std::string::npos);
}

TEST(ResponseHeadTest, EveryStatusThatIsSentHasItsPhrase) {
  for (const int status : {200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 429, 431, 499,
                           500, 501, 503, 504, 505}) {
    EXPECT_NE(ReasonPhrase(status), "Status") << status;
    EXPECT_FALSE(ReasonPhrase(status).empty());
  }
}

TEST(RequestIdTest, FreshOnesDifferAndAreGood) {
  std::set<std::string> ids;
  for (int i = 0; i < 1'000; ++i) {
    const std::string id = NewRequestId();
    EXPECT_EQ(id.size(), 4u + 24u);
    EXPECT_TRUE(id.starts_with("req-"));
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef", 4), std::string::npos) << id;
    EXPECT_TRUE(IsGoodRequestId(id));
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 1'000u);
}

TEST(RequestIdTest, WhatIsEchoed) {
  EXPECT_TRUE(IsGoodRequestId("a"));
  EXPECT_TRUE(IsGoodRequestId("!~"));
  EXPECT_TRUE(IsGoodRequestId(std::string(128, 'x')));
  for (const std::string& id :
       {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a\r\nX: y"),
        std::string("a\x7f"), std::string("\xC3\xA9"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(IsGoodRequestId(id)) << id;
  }
}

TEST(ErrorResponseTest, HasOpenAisShape) {
  EXPECT_EQ(
      ErrorJson({.status = 400, .code = "c", .param = "messages[0].role", .message = "m\"\n"}),
      R"({"error":{"message":"m\"\n","type":"invalid_request_error",)"
      R"("param":"messages[0].role","code":"c"}})");
  EXPECT_EQ(ErrorJson({.type = "server_error", .message = "m"}),
            R"({"error":{"message":"m","type":"server_error","param":null,"code":null}})");
}

TEST(ErrorResponseTest, TellsWhetherToTryAgain) {
  const HttpResponse plain = ErrorResponse({.status = 400, .message = "m"});
  EXPECT_EQ(plain.status, 400);
  EXPECT_EQ(plain.content_type, "application/json");
  EXPECT_TRUE(plain.headers.empty());
  const HttpResponse later =
      ErrorResponse({.status = 429, .message = "m", .retry_after_seconds = 3});
  ASSERT_EQ(later.headers.size(), 1u);
  EXPECT_EQ(later.headers[0].name, "Retry-After");
  EXPECT_EQ(later.headers[0].value, "3");
  const HttpResponse never = ErrorResponse({.status = 504, .message = "m", .retryable = false});
  ASSERT_EQ(never.headers.size(), 1u);
  EXPECT_EQ(never.headers[0].name, "x-should-retry");
  EXPECT_EQ(never.headers[0].value, "false");
}

TEST(HttpTypesTest, NamesAreComparedWithoutCase) {
  EXPECT_TRUE(EqualIgnoringCase("Content-Type", "cONTENT-tYPE"));
  EXPECT_FALSE(EqualIgnoringCase("Content-Type", "Content-Typ"));
  EXPECT_FALSE(EqualIgnoringCase("a", "ab"));
  EXPECT_FALSE(EqualIgnoringCase("[", "{")) << "only letters have a case";
  EXPECT_FALSE(EqualIgnoringCase("@", "`"));
  EXPECT_TRUE(EqualIgnoringCase("", ""));
}

TEST(SseWriterTest, WritesEventsAsClientsExpectThem) {
  const auto exchange = FakeExchange::Get("/");
  SseWriter writer(exchange);
  EXPECT_EQ(exchange->answer.content_type, "text/event-stream; charset=utf-8");
  const auto has = [&](std::string_view name, std::string_view value) {
    return std::any_of(
        exchange->answer.headers.begin(), exchange->answer.headers.end(),
        [&](const HttpHeader& header) { return header.name == name && header.value == value; });
  };
  EXPECT_TRUE(has("Cache-Control", "no-cache"));
  EXPECT_TRUE(has("X-Accel-Buffering", "no"));
  EXPECT_TRUE(exchange->writes.empty()) << "nothing but the head yet";
  writer.Event(R"({"a":"b\nc"})");
  writer.Event("{}");
  EXPECT_FALSE(exchange->stream_ended);
  EXPECT_TRUE(writer.CanWrite());
  exchange->writable = false;
  EXPECT_FALSE(writer.CanWrite());
  writer.Done();
  EXPECT_TRUE(exchange->stream_ended);
  EXPECT_EQ(exchange->writes, (std::vector<std::string>{"data: {\"a\":\"b\\nc\"}\n\n",
                                                        "data: {}\n\n", "data: [DONE]\n\n"}));
}

}  // namespace
}  // namespace intactkv
