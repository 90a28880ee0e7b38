// Message framing against the real listener: what two HTTP parsers could read differently is
// refused and ends the connection; what is valid is read alike however it is cut. After each row
// the canary is token-exact.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

constexpr char kGood[] = "GET /version HTTP/1.1\r\nHost: test\r\n\r\n";

struct Refused {
  std::string name;
  std::string bytes;
  int status = 400;
};

// A GET with these fields.
Refused Fields(const std::string& name, const std::string& fields, int status = 400) {
  return {name, "GET /version HTTP/1.1\r\nHost: test\r\n" + fields + "\r\n", status};
}
// A POST with these fields, and five bytes that one reading or the other takes for its body.
Refused Post(const std::string& name, const std::string& fields, int status = 400) {
  return {name,
          "POST /tokenize HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" + fields +
              "\r\n0\r\n\r\n",
          status};
}
Refused Line(const std::string& line, int status = 400) {
  return {"request line '" + line + "'", line + "\r\nHost: test\r\n\r\n", status};
}
Refused Chunks(const std::string& body, int status = 400) {
  return {"chunks '" + body + "'",
          "POST /tokenize HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
          "Transfer-Encoding: chunked\r\n\r\n" +
              body,
          status};
}

std::vector<Refused> LengthRows() {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string five = "Content-Length: 5\r\n";
  std::vector<Refused> rows = {
      Post("gzip, then a length", "Transfer-Encoding: gzip\r\n" + five),
      Post("a length, then gzip", five + "Transfer-Encoding: gzip\r\n"),
      Post("a length and chunked", five + chunked),
      Post("chunked and a length", chunked + five),
      Post("chunked and length 0", chunked + "Content-Length: 0\r\n"),
      Post("chunked twice", chunked + chunked),
      Post("two equal lengths", five + five),
      Post("two different lengths", five + "Content-Length: 6\r\n"),
      Post("a space before the colon of the length", "Content-Length : 5\r\n"),
      Post("a space before the colon of the encoding", "Transfer-Encoding : chunked\r\n"),
      Post("the encoding folded", "Transfer-Encoding:\r\n chunked\r\n"),
      Post("the encoding folded by a tab", "Transfer-Encoding:\r\n\tchunked\r\n"),
      Post("the length folded", "Content-Length: \r\n 5\r\n"),
      Post("a vertical tab in the encoding",
           "Transfer-Encoding: \x0b"
           "chunked\r\n"),
      Post("an unknown expectation", "Expect: 200-ok\r\n" + five, 417),
      Post("a compressed body", "Content-Encoding: gzip\r\n" + five, 415),
      {"chunked in HTTP/1.0",
       "POST /tokenize HTTP/1.0\r\nHost: test\r\n" + chunked + "\r\n0\r\n\r\n"},
  };
  for (const char* value :
       {"gzip", "identity", "xchunked", "chunkedx", "chunked, gzip", "gzip, chunked",
        "chunked, chunked", "chunked,", ",chunked", "chunked;q=1", "\"chunked\"", ""}) {
    rows.push_back(Post("Transfer-Encoding '" + std::string(value) + "'",
                        "Transfer-Encoding: " + std::string(value) + "\r\n"));
  }
  for (const char* value :
       {"", "5,5", "5, 5", "5 5", "+5", "-5", "0x5", "5.0", "5e0", "five", "5\t5",
        "18446744073709551616", "18446744073709551617", "99999999999999999999999999"}) {
    rows.push_back(Post("Content-Length '" + std::string(value) + "'",
                        "Content-Length: " + std::string(value) + "\r\n"));
  }
  rows.push_back(Post("the largest number", "Content-Length: 18446744073709551615\r\n", 413));
  return rows;
}

std::vector<Refused> FieldRows() {
  const std::string nul(1, '\0');
  std::vector<Refused> rows = {
      {"no Host", "GET /version HTTP/1.1\r\n\r\n"},
      Fields("two Host", "Host: test\r\n"),
      Fields("a body on GET", "Content-Length: 2\r\n\r\n{}"),
      Fields("a folded field", "X: a\r\n b\r\n"),
      {"a fold before the first field", "GET /version HTTP/1.1\r\n Host: test\r\n\r\n"},
      Fields("no colon", "X\r\n"),
      Fields("an empty name", ": x\r\n"),
      Fields("a space in a name", "X Y: 1\r\n"),
      Fields("a space after a name", "X : 1\r\n"),
      Fields("a bracket in a name", "X(: 1\r\n"),
      Fields("a name that is not ASCII", "X\xc3\xa9: 1\r\n"),
      Fields("a NUL in a value", "X: a" + nul + "b\r\n"),
      Fields("a NUL in a name", "X" + nul + ": a\r\n"),
      Fields("an escape in a value", "X: a\x1b[0m\r\n"),
      Fields("a delete in a value", "X: a\x7f\r\n"),
      Fields("a bare line feed in a value", "X: a\nY: b\r\n"),
      Fields("a bare carriage return in a value", "X: a\rY: b\r\n"),
      Fields("two carriage returns", "X: a\r\r\n"),
      {"bare line feeds alone", "GET /version HTTP/1.1\nHost: test\n\n"},
      {"a bare line feed after the request line", "GET /version HTTP/1.1\nHost: test\r\n\r\n"},
      {"a bare line feed at the end", "GET /version HTTP/1.1\r\nHost: test\r\n\n"},
      Fields("1,900 empty fields", Repeat("a:\r\n", 1900), 431),
  };
  return rows;
}

std::vector<Refused> LineRows() {
  std::vector<Refused> rows = {
      Line("GET /version HTTP/1.2", 505),
      Line("GET /version HTTP/2.0", 505),
      Line("GET /version HTTP/0.9", 505),
      Line("GET /version HTTP/1.10", 505),
      Line("GET /version HTTP/1.1x", 505),
      Line("GET /version HTTP/", 505),
      {"an empty line first", "\r\n" + std::string(kGood)},
      {"nothing but the end", "\r\n\r\n"},
      {"a TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15)},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
      {"a NUL in the target", std::string("GET /ver\0sion HTTP/1.1\r\nHost: test\r\n\r\n", 39)},
  };
  for (const char* line :
       {"GET /version", "GET", "GET  /version HTTP/1.1", " GET /version HTTP/1.1",
        "GET /version  HTTP/1.1", "GET /version HTTP/1.1 ", "GET\t/version\tHTTP/1.1",
        "GET /version http/1.1", "GET /version HTTQ/1.1", "GET /ver sion HTTP/1.1",
        "GE(T /version HTTP/1.1", "G\x01T /version HTTP/1.1", "GET version HTTP/1.1",
        "GET http://test/version HTTP/1.1", "CONNECT test:80 HTTP/1.1", "OPTIONS * HTTP/1.1",
        "GET /v\xc3\xa9rsion HTTP/1.1", "GET /version\x7f HTTP/1.1", "/version HTTP/1.1"}) {
    rows.push_back(Line(line));
  }
  return rows;
}

std::vector<Refused> ChunkRows() {
  std::vector<Refused> rows;
  for (const char* body : {"\r\n",
                           "g\r\n",
                           "-1\r\n",
                           "+2\r\n",
                           " 2\r\n{}\r\n",
                           "2 \r\n{}\r\n",
                           "0x2\r\n{}\r\n",
                           "2;a=b\r\n{}\r\n",
                           "2;\r\n{}\r\n",
                           "2\n{}\r\n",
                           "2\r{}\r\n",
                           "2\r\n{}\n",
                           "2\r\n{}0\r\n",
                           "2\r\n{}\r0\r\n",
                           "2\r\n{} \r\n",
                           "2\r\n{}\r\n0;a\r\n\r\n",
                           "2\r\n{}\r\n0\r\nX: y\r\n\r\n",
                           "2\r\n{}\r\n0\r\n\n",
                           "2\r\n{}\r\n0\r\n\r\r",
                           "10000000000000000\r\n",
                           "00000000000000002\r\n{}\r\n"}) {
    rows.push_back(Chunks(body));
  }
  rows.push_back(Chunks("2;" + std::string(100'000, 'e')));
  rows.push_back(Chunks("ffffffffffffffff\r\n", 413));
  rows.push_back(Chunks("2\r\n{}\r\nfffffffffffffffe\r\n", 413));
  return rows;
}

class FramingTest : public ::testing::Test {
 protected:
  void ExpectRefused(const Refused& row, RawHttpClient& client) {
    const RawAnswer answer = client.Read();
    EXPECT_EQ(answer.status, row.status);
    EXPECT_EQ(answer.Header("Connection"), "close");
    EXPECT_THAT(answer.body, HasSubstr("\"type\":\"invalid_request_error\""));
    EXPECT_THAT(answer.body, HasSubstr("\"param\":null,\"code\":\""));
    client.FinishSending();
    EXPECT_TRUE(client.AtEnd()) << "something after the refusal was answered";
  }

  // Alone, behind a good request on the same connection, and a byte at a time.
  void CheckRefused(const std::vector<Refused>& rows, size_t at_least) {
    EXPECT_GE(rows.size(), at_least);
    for (const Refused& row : rows) {
      SCOPED_TRACE(row.name.substr(0, 120));
      // What follows would be the next request, were the refused one read in another way.
      const std::string bytes = row.bytes + kGood;
      RawHttpClient alone(server_.api_port());
      alone.Send(bytes);
      ExpectRefused(row, alone);
      RawHttpClient behind(server_.api_port());
      behind.Send(kGood + bytes);
      EXPECT_EQ(behind.Read().status, 200);
      ExpectRefused(row, behind);
      if (bytes.size() < 1000) {
        RawHttpClient slow(server_.api_port());
        slow.SendByteByByte(bytes);
        ExpectRefused(row, slow);
      }
      server_.ExpectUnharmed();
    }
  }

  WireServer server_;
};

TEST_F(FramingTest, LengthsAndEncodings) { CheckRefused(LengthRows(), 40); }
TEST_F(FramingTest, HeaderFields) { CheckRefused(FieldRows(), 20); }
TEST_F(FramingTest, RequestLines) { CheckRefused(LineRows(), 30); }
TEST_F(FramingTest, ChunkedBodies) { CheckRefused(ChunkRows(), 20); }

// The canary's body in chunks of `size` bytes.
std::string InChunks(const std::string& body, size_t size, const char* format) {
  std::string out;
  for (size_t at = 0; at < body.size(); at += size) {
    const std::string piece = body.substr(at, size);
    char line[32];
    std::snprintf(line, sizeof(line), format, piece.size());
    out += line + std::string("\r\n") + piece + "\r\n";
  }
  return out + "0\r\n\r\n";
}

std::string CanaryHead(const std::string& fields) {
  return "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" +
         fields + "\r\n";
}

TEST_F(FramingTest, ChunkedBodiesAreReadWhateverTheirPieces) {
  const std::string body = WireServer::CanaryBody();
  for (const char* field : {"Transfer-Encoding: chunked\r\n", "transfer-encoding:CHUNKED\r\n",
                            "Transfer-Encoding:  chunked \t\r\n"}) {
    for (const char* format : {"%zx", "%zX", "%016zx"}) {
      for (const size_t size : {7u, 26u, 4096u}) {
        const std::string request = CanaryHead(field) + InChunks(body, size, format);
        RawHttpClient client(server_.api_port());
        client.Send(request + request);
        server_.ExpectCanary(client.Read());
        server_.ExpectCanary(client.Read());
        client.SendByteByByte(request);
        server_.ExpectCanary(client.Read());
      }
    }
  }
}

TEST_F(FramingTest, ARequestIsReadAlikeWhereverItIsCut) {
  const std::string request =
      PostRequest("/tokenize", R"({"prompt":"a"})") +
      "POST /tokenize HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\ne\r\n{\"prompt\":\"a\"}\r\n0\r\n\r\n";
  RawHttpClient client(server_.api_port());
  client.Send(PostRequest("/tokenize", R"({"prompt":"a"})"));
  const std::string expected = client.Read().body;
  EXPECT_THAT(expected, HasSubstr("\"count\":1,"));
  for (size_t cut = 1; cut < request.size(); ++cut) {
    client.Send(request.substr(0, cut));
    if (cut % 8 == 0) server_.ExpectUnharmed();  // gives the first piece time to arrive alone
    client.Send(request.substr(cut));
    EXPECT_EQ(client.Read().body, expected) << cut;
    EXPECT_EQ(client.Read().body, expected) << cut;
  }
}

TEST_F(FramingTest, PipelinedRequestsAreAnsweredInOrder) {
  const std::string canary = PostRequest("/v1/completions", WireServer::CanaryBody());
  const std::string refused = PostRequest("/tokenize", "{}");
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += canary + kGood + refused;
  RawHttpClient client(server_.api_port());
  client.Send(requests);
  for (int i = 0; i < 40; ++i) {
    server_.ExpectCanary(client.Read());
    EXPECT_EQ(client.Read().status, 200);
    EXPECT_EQ(client.Read().status, 400);
  }
  server_.ExpectUnharmed(&client);
}

TEST_F(FramingTest, AClientThatOnlyStopsSendingGetsItsAnswers) {
  RawHttpClient client(server_.api_port());
  client.Send(kGood + PostRequest("/tokenize", R"({"prompt":"a"})"));
  client.FinishSending();
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(FramingTest, ExpectContinueIsAnsweredWhereTheBodyIsWanted) {
  const std::string body = WireServer::CanaryBody();
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  RawHttpClient client(server_.api_port());
  client.Send(CanaryHead(length + "Expect: 100-Continue\r\n"));
  EXPECT_EQ(client.Read().status, 100);
  client.Send(body);
  server_.ExpectCanary(client.Read());
  client.Send(CanaryHead("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(client.Read().status, 100);
  client.Send(InChunks(body, 50, "%zx"));
  server_.ExpectCanary(client.Read());
  // Nothing to wait for: no interim answer.
  client.Send("GET /version HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Read().status, 200);
  // A body that will not be taken is refused before it is sent.
  client.Send(CanaryHead("Content-Length: 4194305\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(client.Read().status, 413);
  server_.ExpectUnharmed();
}

TEST_F(FramingTest, OldClients) {
  const std::string body = WireServer::CanaryBody();
  const std::string head =
      "POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n";
  RawHttpClient once(server_.api_port());
  once.Send(head + "\r\n" + body + kGood);
  const RawAnswer answer = once.Read();
  server_.ExpectCanary(answer);
  EXPECT_EQ(answer.Header("Connection"), "close");
  once.FinishSending();
  EXPECT_TRUE(once.AtEnd());
  RawHttpClient kept(server_.api_port());
  kept.Send(head + "Connection: keep-alive\r\n\r\n" + body);
  const RawAnswer first = kept.Read();
  server_.ExpectCanary(first);
  EXPECT_EQ(first.Header("Connection"), "keep-alive");
  // HTTP/1.0 knows no interim answers: nothing comes before the body.
  RawHttpClient expecting(server_.api_port());
  expecting.Send(head + "Expect: 100-continue\r\n\r\n");
  expecting.FinishSending();
  EXPECT_TRUE(expecting.AtEnd());
}

TEST_F(FramingTest, HeadHasNoBodyAndTheConnectionGoesOn) {
  RawHttpClient client(server_.api_port());
  client.Send("HEAD /version HTTP/1.1\r\nHost: test\r\n\r\n" + std::string(kGood));
  const RawAnswer head = client.Read(/*head_only=*/true);
  const RawAnswer get = client.Read();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("Content-Length"), std::to_string(get.body.size()));
  client.Send("HEAD /nowhere HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.Read(/*head_only=*/true).status, 404);
  server_.ExpectUnharmed(&client);
}

TEST_F(FramingTest, AClientMayCloseTheConnection) {
  RawHttpClient client(server_.api_port());
  client.Send("GET /version HTTP/1.1\r\nHost: test\r\nConnection: x, Close\r\n\r\n" +
              std::string(kGood));
  const RawAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("Connection"), "close");
  client.FinishSending();
  EXPECT_TRUE(client.AtEnd());
}

}  // namespace
}  // namespace intactkv::test
