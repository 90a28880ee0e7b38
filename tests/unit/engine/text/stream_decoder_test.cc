#include "engine/text/stream_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "engine/text/utf8.h"

namespace intactkv {
namespace {

// Feeds `parts` as tokens 0, 1, ...; each piece that comes out must be whole UTF-8.
std::string Decode(const std::vector<std::string>& parts) {
  Utf8StreamDecoder decoder(
      [&](TokenId token) -> std::string_view { return parts[static_cast<size_t>(token.value)]; });
  std::string out;
  for (int32_t i = 0; i < static_cast<int32_t>(parts.size()); ++i) {
    const std::string piece = decoder.Feed(TokenId(i));
    EXPECT_EQ(ReplaceInvalidUtf8(piece), piece);
    out += piece;
  }
  return out + decoder.Flush();
}

TEST(Utf8Test, ReplacesMaximalSubparts) {
  // Table 3-8 of the Unicode Standard, and the edges of its table 3-7.
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41\uFFFD\uFFFD\x42");
  EXPECT_EQ(ReplaceInvalidUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\x9F\xBF\xED\xA0\x80"), "\uD7FF\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x8F\xBF\xBF\xF4\x90"), "\U0010FFFF\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), "\uFFFD");
}

TEST(StreamDecoderTest, HoldsACharacterBackUntilItIsWhole) {
  const std::vector<std::string> parts = {"a\xF0", "\x9F\x98", "\x80", "\xE2\x82", "x"};
  Utf8StreamDecoder decoder(
      [&](TokenId token) -> std::string_view { return parts[static_cast<size_t>(token.value)]; });
  EXPECT_EQ(decoder.Feed(TokenId(0)), "a");
  EXPECT_EQ(decoder.Feed(TokenId(1)), "");
  EXPECT_EQ(decoder.Feed(TokenId(2)), "\U0001F600");
  EXPECT_EQ(decoder.Feed(TokenId(3)), "");
  EXPECT_EQ(decoder.Feed(TokenId(4)), "\uFFFDx");
  EXPECT_EQ(decoder.Flush(), "");
  EXPECT_EQ(decoder.Feed(TokenId(0)), "a");
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
}

TEST(StreamDecoderTest, EverySplitGivesTheWholeText) {
  const std::string text =
      "A\u00e9\u4f60\U0001F600\xF0\x9F\x98\x41\xE2\x82\xED\xA0\x80\xC3\xF4\x90z\xC0\xFF\xE4\xBD";
  const std::string want = ReplaceInvalidUtf8(text);
  for (size_t i = 0; i <= text.size(); ++i) {
    for (size_t j = i; j <= text.size(); ++j) {
      ASSERT_EQ(Decode({text.substr(0, i), text.substr(i, j - i), text.substr(j)}), want)
          << i << " " << j;
    }
  }
}

TEST(StreamDecoderTest, RandomBytesInRandomPieces) {
  Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> parts;
    std::string whole;
    for (size_t n = rng.Below(8); n > 0; --n) {
      std::string& part = parts.emplace_back();
      for (size_t m = rng.Below(5); m > 0; --m) {
        part.push_back(static_cast<char>(rng.Below(4) ? 0x80 + rng.Below(0x80) : rng.Below(0x80)));
      }
      whole += part;
    }
    ASSERT_EQ(Decode(parts), ReplaceInvalidUtf8(whole)) << "round " << round;
  }
}

}  // namespace
}  // namespace intactkv
