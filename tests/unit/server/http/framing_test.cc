// Request heads that two parsers could read differently are refused, with the right status; each
// limit on both of its edges; the same verdict however the bytes were cut.
#include "server/http/framing.h"

#include <gtest/gtest.h>

#include <string>

#include "server/http/head_parser.h"

namespace intactkv {
namespace {

const FramingLimits kLimits;

// A head of these lines; Host is among them unless the test says otherwise.
std::string Head(const std::string& lines) {
  std::string head;
  size_t begin = 0;
  while (begin < lines.size()) {
    const size_t end = std::min(lines.find('|', begin), lines.size());
    head += lines.substr(begin, end - begin) + "\r\n";
    begin = end + 1;
  }
  return head + "\r\n";
}

std::string Get(const std::string& fields = "") {
  return Head("GET / HTTP/1.1|Host: a" + (fields.empty() ? "" : "|" + fields));
}
std::string Post(const std::string& fields = "") {
  return Head("POST / HTTP/1.1|Host: a" + (fields.empty() ? "" : "|" + fields));
}

// 0 if it is accepted.
int StatusOf(const std::string& head) {
  const auto checked = CheckFraming(head, kLimits);
  const auto* error = std::get_if<FramingError>(&checked);
  if (error == nullptr) return 0;
  EXPECT_FALSE(error->message.empty());
  return error->status;
}

Framing Accept(const std::string& head) {
  const auto checked = CheckFraming(head, kLimits);
  const auto* framing = std::get_if<Framing>(&checked);
  EXPECT_NE(framing, nullptr) << head;
  return framing != nullptr ? *framing : Framing();
}

TEST(FramingTest, PlainRequests) {
  const Framing get = Accept(Get());
  EXPECT_FALSE(get.http_1_0);
  EXPECT_TRUE(get.keep_alive);
  EXPECT_FALSE(get.chunked);
  EXPECT_EQ(get.content_length, 0u);
  EXPECT_FALSE(get.expect_continue);
  EXPECT_EQ(Accept(Post("Content-Length: 12")).content_length, 12u);
  EXPECT_EQ(Accept(Post("content-LENGTH:12\t ")).content_length, 12u);
  EXPECT_TRUE(Accept(Post("Transfer-Encoding: Chunked")).chunked);
  EXPECT_TRUE(Accept(Post("Content-Length: 1|Expect: 100-Continue")).expect_continue);
  EXPECT_EQ(StatusOf(Get("X-Text: caf\xC3\xA9")), 0) << "bytes above 0x7f may stand in a value";
  EXPECT_EQ(StatusOf(Get("X-Empty:")), 0);
  EXPECT_EQ(StatusOf(Get("Content-Encoding: identity")), 0);
}

TEST(FramingTest, KeepAlive) {
  EXPECT_FALSE(Accept(Get("Connection: close")).keep_alive);
  EXPECT_FALSE(Accept(Get("Connection: keep-alive, CLOSE")).keep_alive);
  EXPECT_FALSE(Accept(Get("Connection: x|Connection: close")).keep_alive);
  EXPECT_TRUE(Accept(Get("Connection: closed")).keep_alive) << "a word, not a part of one";
  EXPECT_FALSE(Accept(Head("GET / HTTP/1.0")).keep_alive);
  EXPECT_TRUE(Accept(Head("GET / HTTP/1.0")).http_1_0);
  EXPECT_TRUE(Accept(Head("GET / HTTP/1.0|Connection: Keep-Alive")).keep_alive);
  EXPECT_FALSE(Accept(Head("GET / HTTP/1.0|Connection: keep-alive, close")).keep_alive);
}

struct Row {
  const char* why;
  std::string head;
  int status;
};

TEST(FramingTest, RequestLines) {
  const Row rows[] = {
      {"no target", Head("GET HTTP/1.1|Host: a"), 400},
      {"nothing", Head("GET|Host: a"), 400},
      {"empty line first", Head("|GET / HTTP/1.1|Host: a"), 400},
      {"two spaces", Head("GET  / HTTP/1.1|Host: a"), 400},
      {"space in the target", Head("GET /a b HTTP/1.1|Host: a"), 400},
      {"tab as separator", Head("GET\t/ HTTP/1.1|Host: a"), 400},
      {"leading space", Head(" GET / HTTP/1.1|Host: a"), 400},
      {"trailing space", Head("GET / HTTP/1.1 |Host: a"), 400},
      {"method no token", Head("GE(T / HTTP/1.1|Host: a"), 400},
      {"absolute target", Head("GET http://a/ HTTP/1.1|Host: a"), 400},
      {"authority target", Head("CONNECT a:1 HTTP/1.1|Host: a"), 400},
      {"asterisk target", Head("OPTIONS * HTTP/1.1|Host: a"), 400},
      {"control character", Head("GET /\x01 HTTP/1.1|Host: a"), 400},
      {"byte above 0x7f", Head("GET /\xC3\xA9 HTTP/1.1|Host: a"), 400},
      {"no version", Head("GET / FTP/1.1|Host: a"), 400},
      {"lower case version", Head("GET / http/1.1|Host: a"), 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", 400},
      {"HTTP/2.0", Head("GET / HTTP/2.0|Host: a"), 505},
      {"HTTP/1.2", Head("GET / HTTP/1.2|Host: a"), 505},
      {"HTTP/1.10", Head("GET / HTTP/1.10|Host: a"), 505},
      {"HTTP/0.9", Head("GET / HTTP/0.9|Host: a"), 505},
  };
  for (const Row& row : rows) EXPECT_EQ(StatusOf(row.head), row.status) << row.why;
}

TEST(FramingTest, Fields) {
  const Row rows[] = {
      {"folded", Get("X: a| b"), 400},
      {"folded by a tab", Get("X: a|\tb"), 400},
      {"space before the colon", Get("Content-Length : 1"), 400},
      {"no colon", Get("X"), 400},
      {"no name", Get(": a"), 400},
      {"name no token", Get("X(Y): a"), 400},
      {"control character", Get("X: a\x01"), 400},
      {"DEL", Get("X: a\x7f"), 400},
      {"no Host", Head("GET / HTTP/1.1"), 400},
      {"two Hosts", Get("Host: a"), 400},
      {"two Hosts, other case", Get("hOST: b"), 400},
      {"Expect", Post("Expect: something"), 417},
      {"compressed", Post("Content-Length: 1|Content-Encoding: gzip"), 415},
  };
  for (const Row& row : rows) EXPECT_EQ(StatusOf(row.head), row.status) << row.why;
  EXPECT_EQ(StatusOf(Head("GET / HTTP/1.0")), 0) << "HTTP/1.0 needs no Host";
}

TEST(FramingTest, LengthsThatCouldBeReadInTwoWays) {
  const Row rows[] = {
      {"both", Post("Content-Length: 3|Transfer-Encoding: chunked"), 400},
      {"both, other order", Post("Transfer-Encoding: chunked|Content-Length: 3"), 400},
      {"both, length 0", Post("Content-Length: 0|Transfer-Encoding: chunked"), 400},
      {"two lengths", Post("Content-Length: 3|Content-Length: 4"), 400},
      {"two equal lengths", Post("Content-Length: 3|Content-Length: 3"), 400},
      {"a list of lengths", Post("Content-Length: 3, 3"), 400},
      {"negative", Post("Content-Length: -1"), 400},
      {"plus", Post("Content-Length: +1"), 400},
      {"hexadecimal", Post("Content-Length: 0x10"), 400},
      {"fraction", Post("Content-Length: 1.0"), 400},
      {"empty", Post("Content-Length:"), 400},
      {"inner space", Post("Content-Length: 1 2"), 400},
      {"2^64", Post("Content-Length: 18446744073709551616"), 400},
      {"2^64 - 1", Post("Content-Length: 18446744073709551615"), 413},
      {"two encodings", Post("Transfer-Encoding: chunked|Transfer-Encoding: chunked"), 400},
      {"a list", Post("Transfer-Encoding: gzip, chunked"), 400},
      {"chunked twice", Post("Transfer-Encoding: chunked, chunked"), 400},
      {"identity", Post("Transfer-Encoding: identity"), 400},
      {"not quite", Post("Transfer-Encoding: xchunked"), 400},
      {"with a vertical tab",
       Post("Transfer-Encoding: \x0B"
            "chunked"),
       400},
      {"in HTTP/1.0", Head("POST / HTTP/1.0|Transfer-Encoding: chunked"), 400},
      {"a body with GET", Get("Content-Length: 1"), 400},
      {"a chunked body with GET", Get("Transfer-Encoding: chunked"), 400},
      {"a body with DELETE", Head("DELETE / HTTP/1.1|Host: a|Content-Length: 1"), 400},
  };
  for (const Row& row : rows) EXPECT_EQ(StatusOf(row.head), row.status) << row.why;
  EXPECT_EQ(StatusOf(Get("Content-Length: 0")), 0);
  EXPECT_EQ(Accept(Post("Content-Length: 007")).content_length, 7u);
}

TEST(FramingTest, BareLineBreaksAndNul) {
  const std::string good = Get("X: abc");
  ASSERT_EQ(StatusOf(good), 0);
  for (const char bad : {'\n', '\r', '\0'}) {
    std::string head = good;
    head[head.find('b')] = bad;
    EXPECT_EQ(StatusOf(head), 400) << static_cast<int>(bad);
    EXPECT_TRUE(
        CheckPartialHead(std::string_view(head).substr(0, head.size() - 2), 0, kLimits).has_value())
        << "at once, not only at the end";
  }
}

TEST(FramingTest, LimitsOnBothEdges) {
  const auto line = [](size_t bytes) {
    const std::string rest = "GET  HTTP/1.1";
    return Head("GET /" + std::string(bytes - rest.size() - 1, 'a') + " HTTP/1.1|Host: a");
  };
  EXPECT_EQ(StatusOf(line(kLimits.request_line_bytes)), 0);
  EXPECT_EQ(StatusOf(line(kLimits.request_line_bytes + 1)), 414);
  const auto field = [](size_t bytes) { return Get("X: " + std::string(bytes - 3, 'a')); };
  EXPECT_EQ(StatusOf(field(kLimits.field_bytes)), 0);
  EXPECT_EQ(StatusOf(field(kLimits.field_bytes + 1)), 431);
  const auto fields = [](size_t count) {  // Host is one of them
    std::string more;
    for (size_t i = 1; i < count; ++i) more += (i > 1 ? "|X: " : "X: ") + std::to_string(i);
    return Get(more);
  };
  EXPECT_EQ(StatusOf(fields(kLimits.num_fields)), 0);
  EXPECT_EQ(StatusOf(fields(kLimits.num_fields + 1)), 431);
  const auto head = [](size_t bytes) {
    const std::string most =
        "X: " + std::string(8'000, 'a') + "|Y: " + std::string(4'000, 'a') + "|Z: ";
    return Get(most + std::string(bytes - Get(most).size(), 'a'));
  };
  ASSERT_EQ(head(kLimits.head_bytes).size(), kLimits.head_bytes);
  EXPECT_EQ(StatusOf(head(kLimits.head_bytes)), 0);
  EXPECT_EQ(StatusOf(head(kLimits.head_bytes + 1)), 431);
  EXPECT_EQ(StatusOf(Post("Content-Length: " + std::to_string(kLimits.body_bytes))), 0);
  EXPECT_EQ(StatusOf(Post("Content-Length: " + std::to_string(kLimits.body_bytes + 1))), 413);
}

// What a connection does with each piece: look for the end, else check what is there.
int StatusInPieces(const std::string& head, size_t piece) {
  size_t scanned = 0;
  for (size_t have = std::min(piece, head.size());; have = std::min(have + piece, head.size())) {
    const std::string_view buffer = std::string_view(head).substr(0, have);
    if (const auto end = FindHeadEnd(buffer, scanned)) {
      EXPECT_EQ(*end, head.size());
      return StatusOf(head);
    }
    if (const auto fault = CheckPartialHead(buffer, scanned, kLimits)) return fault->status;
    scanned = have;
    if (have == head.size()) return -1;
  }
}

TEST(FramingTest, TheVerdictDoesNotDependOnHowTheBytesAreCut) {
  const std::string long_line(kLimits.request_line_bytes - 14, 'a');
  const std::string heads[] = {
      Get(),
      Post("Content-Length: 5|X-A: b"),
      Get("X: a\nb"),
      Get("X: a\rb"),
      Head("GET /" + long_line + " HTTP/1.1|Host: a"),   // exactly at the limit
      Head("GET /" + long_line + "b HTTP/1.1|Host: a"),  // one byte over it
      Head("GET /" + std::string(20'000, 'a') + " HTTP/1.1|Host: a"),
      Get("X: " + std::string(9'000, 'a')),
      Get("X: " + std::string(8'000, 'a') + "|Y: " + std::string(8'000, 'a') +
          "|Z: " + std::string(1'000, 'a')),
  };
  for (const std::string& head : heads) {
    const int whole = StatusOf(head);
    for (const size_t piece :
         {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{4096}, size_t{4097}, size_t{16'384}}) {
      EXPECT_EQ(StatusInPieces(head, piece), whole) << head.substr(0, 40) << " by " << piece;
    }
  }
}

TEST(FindHeadEndTest, FindsTheFirstEmptyLineAcrossPieces) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n";
  const size_t end = bytes.find("body");
  for (size_t scanned = 0; scanned < end; ++scanned) {
    EXPECT_EQ(FindHeadEnd(bytes, scanned), end) << scanned;
  }
  for (size_t have = 0; have < end; ++have) {
    EXPECT_EQ(FindHeadEnd(std::string_view(bytes).substr(0, have), 0), std::nullopt) << have;
  }
}

TEST(HeadParserTest, ReadsMethodTargetAndFields) {
  const std::string head = Head("POST /v1/x?a=1&b=%20?c HTTP/1.1|Host: h|X-One: a |x-one: b|Y:");
  ASSERT_EQ(StatusOf(head), 0);
  const auto request = ParseHead(head, kLimits);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->method, "POST");
  EXPECT_EQ(request->path, "/v1/x");
  EXPECT_EQ(request->query, "a=1&b=%20?c");
  EXPECT_EQ(request->Header("host"), "h");
  EXPECT_EQ(request->Header("X-ONE"), "a") << "the first of that name";
  EXPECT_EQ(request->Header("Y"), "");
  EXPECT_EQ(request->Header("Z"), "");
  EXPECT_EQ(request->headers.size(), 4u);
  EXPECT_TRUE(request->body.empty());
}

TEST(HeadParserTest, MethodsAreAsSent) {
  for (const char* method : {"GET", "get", "BREW", "M-SEARCH"}) {
    const auto request = ParseHead(Head(std::string(method) + " / HTTP/1.1|Host: h"), kLimits);
    ASSERT_TRUE(request.has_value()) << method;
    EXPECT_EQ(request->method, method);
    EXPECT_EQ(request->query, "");
  }
}

TEST(HeadParserTest, RefusesWhatIsNoHead) {
  for (const std::string& head :
       {std::string(), std::string("GET / HTTP/1.1\r\n"), std::string("nonsense\r\n\r\n"),
        Get() + "more", std::string("GET / HTTP/1.1\r\nHost a\r\n\r\n")}) {
    EXPECT_FALSE(ParseHead(head, kLimits).has_value()) << head;
  }
}

// The second opinion may be stricter; what the first accepts in ordinary requests it reads too.
TEST(HeadParserTest, AgreesOnTheLimits) {
  const std::string big = Get("X: " + std::string(kLimits.field_bytes - 3, 'a'));
  ASSERT_EQ(StatusOf(big), 0);
  EXPECT_TRUE(ParseHead(big, kLimits).has_value());
  const std::string chunked = Post("Transfer-Encoding: chunked");
  EXPECT_TRUE(ParseHead(chunked, kLimits).has_value());
  const std::string length = Post("Content-Length: " + std::to_string(kLimits.body_bytes));
  EXPECT_TRUE(ParseHead(length, kLimits).has_value());
}

}  // namespace
}  // namespace intactkv
