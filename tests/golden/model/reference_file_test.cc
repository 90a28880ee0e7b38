#include "tests/golden/model/reference_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>

#include "tests/golden/model/golden_checks.h"
#include "tests/golden/model/tiny_reference.h"

namespace intactkv::golden {
namespace {

using ::testing::HasSubstr;

constexpr const char* kReferencePath = INTACTKV_SOURCE_DIR "/tests/golden/model/reference.bin";

TEST(ReferenceFileTest, ReadsWhatWasWritten) {
  const Reference want = MakeTinyReference({}).reference;
  const auto got = ParseReference(Serialize(want));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->vocab_size, want.vocab_size);
  EXPECT_EQ(got->model_sha256, want.model_sha256);
  EXPECT_EQ(got->fixed_ids, want.fixed_ids);
  ASSERT_EQ(got->prompts.size(), want.prompts.size());
  for (size_t p = 0; p < want.prompts.size(); ++p) {
    EXPECT_EQ(got->prompts[p].ids, want.prompts[p].ids);
    EXPECT_EQ(got->prompts[p].GreedyIds(), want.prompts[p].GreedyIds());
    ASSERT_EQ(got->prompts[p].positions.size(), want.prompts[p].positions.size());
    for (size_t i = 0; i < want.prompts[p].positions.size(); ++i) {
      const ReferencePosition &a = got->prompts[p].positions[i], &b = want.prompts[p].positions[i];
      EXPECT_EQ(a.logsumexp, b.logsumexp);
      EXPECT_EQ(a.max_abs_logit, b.max_abs_logit);
      EXPECT_EQ(a.margin, b.margin);
      EXPECT_EQ(a.top_ids, b.top_ids);
      EXPECT_EQ(a.top_logits, b.top_logits);
      EXPECT_EQ(a.fixed_logits, b.fixed_logits);
    }
  }
}

TEST(ReferenceFileTest, RefusesEveryTruncationAndAnyTrailingByte) {
  std::vector<uint8_t> bytes = Serialize(MakeTinyReference({}).reference);
  for (size_t n = 0; n < bytes.size(); ++n) {
    // A copy of exactly n bytes, so that a sanitizer sees a read past its end.
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<int64_t>(n));
    EXPECT_FALSE(ParseReference(cut).ok()) << n << " bytes";
  }
  bytes.push_back(0);
  EXPECT_THAT(std::string(ParseReference(bytes).status().message()), HasSubstr("after the last"));
}

// Byte offsets of the header's fields.
constexpr size_t kVersionAt = 8, kVocabAt = 12, kPromptsAt = 16, kPositionsAt = 20, kTopAt = 24,
                 kFixedAt = 28, kFixedIdsAt = 64;

std::string MessageWith(size_t at, uint32_t value) {
  std::vector<uint8_t> bytes = Serialize(MakeTinyReference({}).reference);
  for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
  return std::string(ParseReference(bytes).status().message());
}

TEST(ReferenceFileTest, NamesTheDamagedHeaderField) {
  EXPECT_THAT(MessageWith(0, 0), HasSubstr("magic"));
  EXPECT_THAT(MessageWith(kVersionAt, 2), HasSubstr("version is 2"));
  EXPECT_THAT(MessageWith(kVocabAt, 1), HasSubstr("vocabulary"));
  EXPECT_THAT(MessageWith(kVocabAt, (1 << 24) + 1), HasSubstr("vocabulary"));
  EXPECT_THAT(MessageWith(kPromptsAt, 0), HasSubstr("prompts"));
  EXPECT_THAT(MessageWith(kPromptsAt, 0xffffffff), HasSubstr("prompts"));
  EXPECT_THAT(MessageWith(kPositionsAt, 0), HasSubstr("positions"));
  EXPECT_THAT(MessageWith(kPositionsAt, 0xffffffff), HasSubstr("positions"));
  EXPECT_THAT(MessageWith(kTopAt, 1), HasSubstr("top"));
  EXPECT_THAT(MessageWith(kTopAt, 51), HasSubstr("top"));
  EXPECT_THAT(MessageWith(kFixedAt, 51), HasSubstr("fixed"));
  EXPECT_THAT(MessageWith(kFixedIdsAt, 0xffffffff), HasSubstr("fixed ids"));
  EXPECT_THAT(MessageWith(kFixedIdsAt, 0x00030003), HasSubstr("order of the fixed"));
}

TEST(ReferenceFileTest, TheLengthOfAPromptIsCheckedBeforeItIsReserved) {
  const Reference tiny = MakeTinyReference({}).reference;
  const size_t at = kFixedIdsAt + 2 * tiny.fixed_ids.size();
  EXPECT_THAT(MessageWith(at, 0), HasSubstr("length of prompt 0"));
  EXPECT_THAT(MessageWith(at, 0xffffffff), HasSubstr("length of prompt 0"));
}

std::string MessageAfter(const std::function<void(ReferencePosition&)>& damage) {
  Reference reference = MakeTinyReference({}).reference;
  damage(reference.prompts[1].positions[2]);
  return std::string(ParseReference(Serialize(reference)).status().message());
}

TEST(ReferenceFileTest, NamesTheInconsistentRecord) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(MessageAfter([](auto& p) { p.greedy = p.top_ids[1]; }),
              HasSubstr("greedy id of prompt 1, position 2"));
  EXPECT_THAT(MessageAfter([](auto& p) { p.margin += 1; }), HasSubstr("margin"));
  EXPECT_THAT(MessageAfter([&](auto& p) { p.margin = nan; }), HasSubstr("margin"));
  EXPECT_THAT(MessageAfter([](auto& p) { p.logsumexp = p.top_logits[0] - 1; }),
              HasSubstr("logsumexp"));
  EXPECT_THAT(MessageAfter([&](auto& p) { p.logsumexp = nan; }), HasSubstr("logsumexp"));
  EXPECT_THAT(MessageAfter([](auto& p) { p.max_abs_logit = p.top_logits[0] / 2; }),
              HasSubstr("max |logit|"));
  EXPECT_THAT(MessageAfter([](auto& p) { p.top_ids[3] = TokenId(50); }), HasSubstr("top ids"));
  EXPECT_THAT(MessageAfter([](auto& p) { std::swap(p.top_logits[3], p.top_logits[4]); }),
              HasSubstr("order of the top"));
  EXPECT_THAT(MessageAfter([&](auto& p) { p.top_logits[5] = nan; }), HasSubstr("top logits"));
  EXPECT_THAT(MessageAfter([&](auto& p) { p.fixed_logits[0] = nan; }), HasSubstr("fixed logits"));
}

TEST(ReferenceFileTest, AMissingFileIsNotFound) {
  EXPECT_EQ(ReadReferenceFile("/no/such/file").status().code(), absl::StatusCode::kNotFound);
}

TEST(ReferenceFileTest, TheCommittedReferenceIsWhole) {
  EXPECT_LE(std::filesystem::file_size(kReferencePath), 1u << 20);
  const auto reference = ReadReferenceFile(kReferencePath);
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->vocab_size, 49152);
  EXPECT_EQ(reference->fixed_ids.size(), 64u);
  ASSERT_EQ(reference->prompts.size(), 20u);
  int unclear = 0;
  size_t longest = 0;
  for (const ReferencePrompt& prompt : reference->prompts) {
    ASSERT_EQ(prompt.positions.size(), 32u);
    EXPECT_EQ(prompt.positions[0].top_ids.size(), 64u);
    longest = std::max(longest, prompt.ids.size());
    for (const auto& position : prompt.positions) unclear += position.margin <= kClearMargin;
  }
  EXPECT_LE(unclear, 6) << "more than 1 % of 640 positions";
  EXPECT_GT(longest, 512u) << "no prompt crosses 512 positions";
}

TEST(ReferenceFileTest, TheSecondReferenceHasWideIds) {
  const std::string path = INTACTKV_SOURCE_DIR "/tests/golden/model/qwen2.5-coder-0.5b.bin";
  EXPECT_LE(std::filesystem::file_size(path), 1u << 20);
  const auto reference = ReadReferenceFile(path);
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->vocab_size, 151936);
  ASSERT_EQ(reference->prompts.size(), 10u);
  EXPECT_EQ(reference->prompts[0].ids[0].value, 151644);  // <|im_start|>
  int unclear = 0;
  for (const ReferencePrompt& prompt : reference->prompts) {
    for (const auto& position : prompt.positions) unclear += position.margin <= kClearMargin;
  }
  EXPECT_LE(unclear, 3) << "more than 1 % of 320 positions";
}

}  // namespace
}  // namespace intactkv::golden
