// Every size limit of the listener and of a body, on both its edges: the limit passes, one more is
// refused with the status that says what is too much. After each the canary is token-exact.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLineLimit = 4 << 10;
constexpr size_t kFieldLimit = 8 << 10;
constexpr size_t kHeadLimit = 16 << 10;
constexpr size_t kBodyLimit = size_t{4} << 20;
constexpr size_t kStringLimit = size_t{2} << 20;

class HttpLimitsTest : public ::testing::Test {
 protected:
  // A refusal ends the connection unless the body was read (`stays_open`).
  void CheckEdge(const std::string& at_limit, const std::string& over, int status,
                 const std::string& code, bool stays_open = false) {
    RawHttpClient client(server_.api_port());
    client.Send(at_limit);
    const RawAnswer passed = client.Read();
    EXPECT_EQ(passed.status, 200) << passed.body;
    client.Send(over);
    const RawAnswer refused = client.Read();
    EXPECT_EQ(refused.status, status);
    EXPECT_THAT(refused.body, HasSubstr("\"code\":\"" + code + "\""));
    EXPECT_EQ(refused.Header("Connection"), stays_open ? "" : "close");
    if (!stays_open) {
      client.FinishSending();
      EXPECT_TRUE(client.AtEnd());
    }
    server_.ExpectUnharmed(stays_open ? &client : nullptr);
  }

  WireServer server_;
};

std::string LineOf(size_t bytes) {
  const std::string begin = "GET /version?";
  const std::string end = " HTTP/1.1";
  return begin + std::string(bytes - begin.size() - end.size(), 'x') + end;
}

TEST_F(HttpLimitsTest, RequestLine) {
  const std::string rest = "\r\nHost: test\r\n\r\n";
  CheckEdge(LineOf(kLineLimit) + rest, LineOf(kLineLimit + 1) + rest, 414, "uri_too_long");
  // One that never ends.
  RawHttpClient client(server_.api_port());
  client.Send("GET /" + std::string(1 << 20, 'x'));
  EXPECT_EQ(client.Read().status, 414);
  server_.ExpectUnharmed();
}

std::string FieldOf(size_t bytes) { return "X: " + std::string(bytes - 3, 'x') + "\r\n"; }

TEST_F(HttpLimitsTest, OneField) {
  const std::string begin = "GET /version HTTP/1.1\r\nHost: test\r\n";
  CheckEdge(begin + FieldOf(kFieldLimit) + "\r\n", begin + FieldOf(kFieldLimit + 1) + "\r\n", 431,
            "headers_too_large");
}

TEST_F(HttpLimitsTest, Fields) {
  const std::string begin = "GET /version HTTP/1.1\r\nHost: test\r\n";
  CheckEdge(begin + Repeat("X: y\r\n", 63) + "\r\n", begin + Repeat("X: y\r\n", 64) + "\r\n", 431,
            "headers_too_large");
}

TEST_F(HttpLimitsTest, Head) {
  const auto head = [](size_t bytes) {
    std::string out = "GET /version HTTP/1.1\r\nHost: test\r\n" + FieldOf(8000) + FieldOf(8000);
    out += FieldOf(bytes - out.size() - 4) + "\r\n";
    EXPECT_EQ(out.size(), bytes);
    return out;
  };
  CheckEdge(head(kHeadLimit), head(kHeadLimit + 1), 431, "headers_too_large");
  // One that never ends.
  RawHttpClient client(server_.api_port());
  client.Send("GET /version HTTP/1.1\r\n" + Repeat("X: y\r\n", 100'000));
  EXPECT_EQ(client.Read().status, 431);
  server_.ExpectUnharmed();
}

std::string PaddedCanary(size_t bytes) {
  const std::string body = WireServer::CanaryBody();
  return std::string(bytes - body.size(), ' ') + body;
}

TEST_F(HttpLimitsTest, Body) {
  CheckEdge(PostRequest("/v1/completions", PaddedCanary(kBodyLimit)),
            PostRequest("/v1/completions", PaddedCanary(kBodyLimit + 1)), 413, "request_too_large");
}

std::string Chunked(const std::string& chunks, const std::string& path = "/v1/completions") {
  return "POST " + path +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
         "Transfer-Encoding: chunked\r\n\r\n" +
         chunks;
}
std::string Chunk(const std::string& size_line, const std::string& data) {
  return size_line + "\r\n" + data + "\r\n";
}

TEST_F(HttpLimitsTest, ChunkedBody) {
  const std::string last = Chunk("0", "");
  CheckEdge(Chunked(Chunk("400000", PaddedCanary(kBodyLimit)) + last),
            Chunked(Chunk("400001", PaddedCanary(kBodyLimit + 1)) + last), 413,
            "request_too_large");
  // The limit is on the sum.
  const std::string canary = PaddedCanary(kBodyLimit);
  CheckEdge(Chunked(Chunk("3fffff", canary.substr(0, kBodyLimit - 1)) +
                    Chunk("1", canary.substr(kBodyLimit - 1)) + last),
            Chunked(Chunk("400000", canary) + Chunk("1", " ") + last), 413, "request_too_large");
}

TEST_F(HttpLimitsTest, ChunkSizeLine) {
  const std::string text = R"({"prompt":"a"})";
  CheckEdge(Chunked(Chunk("000000000000000e", text) + Chunk("0000000000000000", ""), "/tokenize"),
            Chunked(Chunk("0000000000000000e", text) + Chunk("0", ""), "/tokenize"), 400,
            "malformed_request");
  CheckEdge(Chunked(Chunk("e", text) + Chunk("0", ""), "/tokenize"),
            Chunked(Chunk("e;", text) + Chunk("0", ""), "/tokenize"), 400, "malformed_request");
}

// One chunk per 16 bytes of the body, and 64 more: 68 for a body of 68 bytes.
TEST_F(HttpLimitsTest, Chunks) {
  const auto in_bytes = [](size_t count) {
    std::string text = R"({"prompt":"a"})";
    text += std::string(count - text.size(), ' ');
    std::string chunks;
    for (const char c : text) chunks += Chunk("1", std::string(1, c));
    return Chunked(chunks + Chunk("0", ""), "/tokenize");
  };
  CheckEdge(in_bytes(68), in_bytes(69), 400, "malformed_request");
}

// `count` keys in all.
std::string WithKeys(size_t count) {
  std::string json = R"({"prompt":"a")";
  for (size_t i = 1; i < count; ++i) json += ",\"k" + std::to_string(i) + "\":0";
  return json + "}";
}

TEST_F(HttpLimitsTest, JsonKeysDepthAndMemory) {
  const auto post = [](const std::string& body) { return PostRequest("/tokenize", body); };
  CheckEdge(post(WithKeys(4096)), post(WithKeys(4097)), 400, "invalid_json", /*stays_open=*/true);
  const auto nested = [&](size_t depth) {
    return post(R"({"prompt":"a","x":)" + Repeat("[", depth - 1) + Repeat("]", depth - 1) + "}");
  };
  CheckEdge(nested(32), nested(33), 400, "invalid_json", /*stays_open=*/true);
  // A colon or a bracket in a string is none.
  CheckEdge(post(R"({"prompt":"a","x":")" + Repeat(":[{", 9'000) + "\"}"), nested(34), 400,
            "invalid_json", /*stays_open=*/true);
  // 24 bytes a number, and as much again while the list grows: no edge to the byte.
  const auto numbers = [&](size_t count) {
    return post(R"({"prompt":"a","x":[0)" + Repeat(",0", count - 1) + "]}");
  };
  CheckEdge(numbers(150'000), numbers(700'000), 400, "invalid_json", /*stays_open=*/true);
}

TEST_F(HttpLimitsTest, OneString) {
  const auto text = [](size_t bytes) {
    return PostRequest("/tokenize", R"({"prompt":")" + std::string(bytes, 'a') + "\"}");
  };
  CheckEdge(text(kStringLimit), text(kStringLimit + 1), 400, "invalid_value", /*stays_open=*/true);
  const auto content = [](size_t bytes) {
    return PostRequest("/tokenize", R"({"messages":[{"role":"user","content":")" +
                                        std::string(bytes, 'a') + "\"}]}");
  };
  // The template adds its own words, which count as well: the passing edge is a little lower.
  CheckEdge(content(kStringLimit / 2), content(kStringLimit + 1), 400, "invalid_value",
            /*stays_open=*/true);
}

}  // namespace
}  // namespace intactkv::test
