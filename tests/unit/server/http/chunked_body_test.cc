#include "server/http/chunked_body.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

namespace intactkv {
namespace {

using Result = ChunkedBody::Result;

struct Outcome {
  Result result = Result::kNeedMore;
  std::string body;
  size_t used = 0;
};

// Feeds `bytes` in pieces of `piece`.
Outcome DecodeInPieces(std::string_view bytes, size_t piece, size_t max_bytes) {
  ChunkedBody decoder(max_bytes);
  Outcome out;
  while (out.used < bytes.size() && out.result == Result::kNeedMore) {
    const std::string_view data = bytes.substr(out.used, piece);
    size_t consumed = 0;
    out.result = decoder.Feed(data, consumed, out.body);
    if (out.result == Result::kNeedMore) {
      EXPECT_EQ(consumed, data.size());
    }
    out.used += consumed;
  }
  return out;
}

// The result, which must be the same for every way of cutting the stream.
Outcome Decode(std::string_view bytes, size_t max_bytes = 1'000) {
  const Outcome whole = DecodeInPieces(bytes, std::max<size_t>(bytes.size(), 1), max_bytes);
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{5}}) {
    const Outcome cut = DecodeInPieces(bytes, piece, max_bytes);
    EXPECT_EQ(cut.result, whole.result) << bytes << " by " << piece;
    EXPECT_EQ(cut.body, whole.body);
    EXPECT_EQ(cut.used, whole.used);
  }
  return whole;
}

TEST(ChunkedBodyTest, DecodesAndStopsAtTheEnd) {
  const std::string bytes = "5\r\nhello\r\nA\r\n, world...\r\n0\r\n\r\nGET / next";
  const Outcome out = Decode(bytes);
  EXPECT_EQ(out.result, Result::kDone);
  EXPECT_EQ(out.body, "hello, world...");
  EXPECT_EQ(bytes.substr(out.used), "GET / next") << "what follows is another request's";
}

TEST(ChunkedBodyTest, TakesAnyBytesAndBothCases) {
  const std::string data("\r\n0\r\n\r\n\0\xFF", 9);
  const Outcome out = Decode("9\r\n" + data + "\r\n0a\r\n0123456789\r\n0000\r\n\r\n");
  EXPECT_EQ(out.result, Result::kDone);
  EXPECT_EQ(out.body, data + "0123456789");
  EXPECT_EQ(Decode("0\r\n\r\n").result, Result::kDone);
  EXPECT_EQ(Decode("0\r\n\r\n").body, "");
}

TEST(ChunkedBodyTest, EveryTruncationNeedsMore) {
  const std::string bytes = "5\r\nhello\r\n0\r\n\r\n";
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_EQ(Decode(bytes.substr(0, n)).result, Result::kNeedMore) << n;
  }
}

TEST(ChunkedBodyTest, RefusesWhatIsNotStrictlyChunked) {
  const char* const bad[] = {
      "\r\n",                        // no size
      "x\r\n",                       // no digit
      " 5\r\nhello\r\n",             // leading space
      "5 \r\nhello\r\n",             // trailing space
      "5;a=b\r\nhello\r\n",          // extension
      "0x5\r\nhello\r\n",            // prefix
      "+5\r\nhello\r\n",             // sign
      "-1\r\n",                      // sign
      "5\nhello\r\n",                // bare LF
      "5\rhello\r\n",                // bare CR
      "5\r\nhelloX\r\n",             // longer than announced
      "5\r\nhello\n0\r\n",           // bare LF after the data
      "5\r\nhello\r0\r\n",           // bare CR after the data
      "0\r\nTrailer: x\r\n\r\n",     // trailer
      "0\r\n\n",                     // bare LF at the end
      "00000000000000001\r\nx\r\n",  // 17 digits
  };
  for (const char* bytes : bad) EXPECT_EQ(Decode(bytes).result, Result::kMalformed) << bytes;
}

TEST(ChunkedBodyTest, SixteenDigitsAreReadAndNotWrappedAround) {
  EXPECT_EQ(Decode("0000000000000001\r\nx\r\n0\r\n\r\n").body, "x");
  EXPECT_EQ(Decode("ffffffffffffffff\r\n").result, Result::kTooLarge);
  // The second size would wrap the sum of both to a small number.
  EXPECT_EQ(Decode("5\r\nhello\r\nfffffffffffffffb\r\n").result, Result::kTooLarge);
}

TEST(ChunkedBodyTest, SizeOnBothEdges) {
  const std::string ten = "a\r\n0123456789\r\n";
  EXPECT_EQ(Decode(ten + "0\r\n\r\n", size_t{10}).result, Result::kDone);
  EXPECT_EQ(Decode(ten + "0\r\n\r\n", size_t{9}).result, Result::kTooLarge);
  EXPECT_EQ(Decode(ten + "1\r\nx\r\n0\r\n\r\n", size_t{11}).result, Result::kDone);
  const Outcome over = Decode(ten + "1\r\nx\r\n0\r\n\r\n", size_t{10});
  EXPECT_EQ(over.result, Result::kTooLarge);
  EXPECT_EQ(over.body, "0123456789") << "refused when announced, not when it came";
}

// n chunks of `bytes` each, then the end.
std::string Chunks(size_t n, size_t bytes) {
  char size[24];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes);
  std::string out;
  for (size_t i = 0; i < n; ++i) out += size + std::string(bytes, 'x') + "\r\n";
  return out + "0\r\n\r\n";
}

TEST(ChunkedBodyTest, ManyTinyChunksOnBothEdges) {
  // n one-byte chunks are allowed while n <= n / 16 + 64.
  EXPECT_EQ(Decode(Chunks(68, 1)).result, Result::kDone);
  EXPECT_EQ(Decode(Chunks(69, 1)).result, Result::kMalformed);
  EXPECT_EQ(Decode(Chunks(60, 16)).result, Result::kDone) << "16 bytes pay for their chunk";
}

}  // namespace
}  // namespace intactkv
