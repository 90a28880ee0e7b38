#include "server/request/stop_matcher.h"

#include <gtest/gtest.h>

namespace intactkv {
namespace {

// What is shown of `text` when it arrives in pieces of `piece` bytes.
std::string Show(const std::vector<std::string>& stops, std::string_view text, size_t piece,
                 bool include = false) {
  StopMatcher matcher(stops, include);
  std::string shown;
  for (size_t at = 0; at < text.size(); at += piece) shown += matcher.Feed(text.substr(at, piece));
  return shown + matcher.Flush();
}

TEST(StopMatcherTest, ShowsTheStopStringIfIncluded) {
  for (size_t piece = 1; piece <= 9; ++piece) {
    EXPECT_EQ(Show({"END"}, "abcENDdef", piece, true), "abcEND");
    EXPECT_EQ(Show({"END"}, "abcENEN", piece, true), "abcENEN");
    EXPECT_EQ(Show({"b", "bcd"}, "abcde", piece, true), "ab")
        << "the shorter one is complete first";
    EXPECT_EQ(Show({"bcd", "b"}, "abcde", piece, true), "ab");
    EXPECT_EQ(Show({"\xC3\xA9"}, "caf\xC3\xA9!", piece, true), "caf\xC3\xA9");
  }
}

TEST(StopMatcherTest, ShowsTheSameHoweverTheTextIsCut) {
  struct Case {
    std::vector<std::string> stops;
    std::string text;
    std::string shown;
  };
  const Case cases[] = {
      {{}, "plain text", "plain text"},
      {{"END"}, "abcENDdef", "abc"},
      {{"END"}, "abcEN", "abcEN"},
      {{"END"}, "abcENEND", "abcEN"},
      {{"END"}, "ENDabc", ""},
      {{"aab"}, "aaaab", "aa"},
      {{"abab"}, "abaabab", "aba"},
      {{"x", "abc"}, "ab cab abx", "ab cab ab"},
      {{"\n\n"}, "one\ntwo\n\nthree", "one\ntwo"},
      {{"\xC3\xA9"}, "caf\xC3\xA8 caf\xC3\xA9!", "caf\xC3\xA8 caf"},
      {{"bcd", "abcde"}, "xabcd", "xa"},
  };
  for (const Case& c : cases) {
    for (size_t piece = 1; piece <= c.text.size(); ++piece) {
      EXPECT_EQ(Show(c.stops, c.text, piece), c.shown) << c.text << " by " << piece;
    }
  }
}

TEST(StopMatcherTest, HoldsOnlyWhatMayBeginAStop) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.Feed("abS"), "ab");
  EXPECT_EQ(matcher.Feed("T"), "");
  EXPECT_EQ(matcher.Feed("x"), "STx");
  EXPECT_FALSE(matcher.matched());
  EXPECT_EQ(matcher.Feed("STOPmore"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.Feed("later"), "");
  EXPECT_EQ(matcher.Flush(), "");
}

}  // namespace
}  // namespace intactkv
