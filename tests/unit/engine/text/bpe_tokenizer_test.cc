#include "engine/text/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/rng.h"
#include "tests/unit/engine/text/corpus.h"
#include "tests/unit/engine/text/gguf_tokenizer.h"
#include "tests/unit/engine/text/golden_ids.h"

namespace intactkv {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> Ids(const BpeTokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> tokens;
  tokenizer.Encode(text, tokens);
  std::vector<int32_t> ids;
  for (const TokenId token : tokens) ids.push_back(token.value);
  return ids;
}

std::string Text(const BpeTokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += tokenizer.TokenBytes(TokenId(id));
  return text;
}

class RealVocabularyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    data_ = testing::TestModelTokenizer();
    if (data_ == nullptr) GTEST_SKIP() << "no model at " << testing::TestModelPath();
    auto tokenizer = BpeTokenizer::Make(*data_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = std::make_unique<BpeTokenizer>(*std::move(tokenizer));
  }

  const TokenizerData* data_ = nullptr;
  std::unique_ptr<BpeTokenizer> tokenizer_;
};

TEST_F(RealVocabularyTest, GoldenIds) {
  EXPECT_THAT(Ids(*tokenizer_, "Hello"), ElementsAre(19556));
  EXPECT_THAT(Ids(*tokenizer_, "Hello world"), ElementsAre(19556, 905));
  EXPECT_THAT(Ids(*tokenizer_, "Hi there"), ElementsAre(26843, 665));
  EXPECT_THAT(Ids(*tokenizer_, "  leading spaces"), ElementsAre(216, 2899, 5600));
  EXPECT_THAT(Ids(*tokenizer_, "The quick brown fox jumps over the lazy dog"),
              ElementsAre(504, 2365, 6354, 16438, 27003, 690, 260, 23790, 2767));
  EXPECT_THAT(Ids(*tokenizer_, "<|im_start|>"), ElementsAre(44, 108, 306, 79, 3738, 108, 46));
  EXPECT_THAT(Ids(*tokenizer_, ""), ElementsAre());
}

TEST_F(RealVocabularyTest, EqualsTheTokenizersPackageOnTheCorpus) {
  testing::ExpectGoldenIds(INTACTKV_SOURCE_DIR "/tests/unit/engine/text/tokenizer_golden.txt", 64,
                           testing::MakeCorpus(*data_),
                           [&](std::string_view text) { return Ids(*tokenizer_, text); });
}

TEST_F(RealVocabularyTest, RoundTripsEveryByteThatTheVocabularyHas) {
  int missing = 0;
  for (int b = 0; b < 256; ++b) missing += !tokenizer_->CanEncode(static_cast<unsigned char>(b));
  EXPECT_EQ(missing, 21);  // 04 06 13 14 16 1d c0 c1 f1 f2 f5-ff: no token of the model holds them
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    std::string text, kept;
    for (size_t n = rng.Below(300); n > 0; --n) {
      const auto b = static_cast<unsigned char>(rng.Below(256));
      text.push_back(static_cast<char>(b));
      if (tokenizer_->CanEncode(b)) kept.push_back(static_cast<char>(b));
    }
    ASSERT_EQ(Text(*tokenizer_, Ids(*tokenizer_, kept)), kept) << "round " << round;
    ASSERT_EQ(Text(*tokenizer_, Ids(*tokenizer_, text)), kept) << "round " << round;
  }
}

TEST_F(RealVocabularyTest, OneMebibyteOfOneLetterIsNearLinear) {
  constexpr size_t kSmall = size_t{1} << 14, kLarge = size_t{1} << 20;
  for (const char c : {'a', ' ', '\n', '=', 'e'}) {
    std::vector<TokenId> ids;
    const uint64_t small = tokenizer_->Encode(std::string(kSmall, c), ids);
    ids.clear();
    const uint64_t large = tokenizer_->Encode(std::string(kLarge, c), ids);
    // n - 1 pairs at first, at most two more by each of n - 1 merges, each pushed and popped once.
    EXPECT_LE(large, 6 * kLarge) << "byte " << int{c};
    EXPECT_LE(large, (small + 64) * (kLarge / kSmall)) << "byte " << int{c};
    size_t bytes = 0;
    for (const TokenId id : ids) bytes += tokenizer_->TokenBytes(id).size();
    EXPECT_EQ(bytes, kLarge);
  }
}

TEST(BpeTokenizerTest, RandomBytesRoundTripWithACompleteVocabulary) {
  const auto tokenizer =
      BpeTokenizer::Make(testing::TinyTokenizer({"a b", "ab c", "b c", "Ġ Ġ", "Ã ©"}));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  Rng rng(5);
  for (int round = 0; round < 1000; ++round) {
    std::string text;
    for (size_t n = rng.Below(200); n > 0; --n) {
      text.push_back(static_cast<char>(rng.Below(3) ? "abc  \xC3\xA9'1"[rng.Below(9)]
                                                    : static_cast<char>(rng.Below(256))));
    }
    ASSERT_EQ(Text(*tokenizer, Ids(*tokenizer, text)), text) << "round " << round;
  }
}

TEST(BpeTokenizerTest, MergesBestRankFirstThenLeftmost) {
  auto data = testing::TinyTokenizer({"b c", "a b", "a a"});
  const auto tokenizer = BpeTokenizer::Make(data);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_THAT(Ids(*tokenizer, "abc"), ElementsAre('a', 256));
  EXPECT_THAT(Ids(*tokenizer, "ab"), ElementsAre(257));
  EXPECT_THAT(Ids(*tokenizer, "aaa"), ElementsAre(258, 'a'));
}

TEST(BpeTokenizerTest, SplitsDigitsContractionsAndSpaces) {
  const auto pre = FindPreTokenizer("smollm");
  ASSERT_TRUE(pre.ok());
  const auto split = [&](std::string_view text) {
    std::vector<std::string_view> words;
    (*pre)->Split(text, words);
    return words;
  };
  EXPECT_THAT(split("it's  42 a\n\n b"),
              ElementsAre("it", "'s", "  ", "4", "2", " a", "\n\n", " b"));
  EXPECT_THAT(split("x   "), ElementsAre("x", "   "));
  EXPECT_THAT(split("x\n y!?'s 'll"), ElementsAre("x", "\n", " y", "!?'", "s", " '", "ll"));
  EXPECT_THAT(split("\xFF\xFF a\xC3"), ElementsAre("\xFF\xFF", " a", "\xC3"));
  EXPECT_THAT(split(" 1"), ElementsAre(" ", "1"));
}

}  // namespace
}  // namespace intactkv
