#include "server/main/pool_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace intactkv {
namespace {

using testing::HasSubstr;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// 16 sequences of 2,048 tokens in pages of 100 KiB: 64 pages, 6.25 MiB each.
PoolQuestion Small() {
  return {.trained_context = 2'048,
          .max_running = 16,
          .page_bytes = 100 << 10,
          .available_bytes = 8 * kGiB};
}

PoolAnswer Choose(const PoolQuestion& question) {
  const absl::StatusOr<PoolAnswer> answer = ChoosePool(question);
  EXPECT_TRUE(answer.ok()) << answer.status();
  return answer.ok() ? *answer : PoolAnswer();
}

TEST(ChoosePoolTest, EveryRunningSequenceIfThereIsRoom) {
  const PoolAnswer answer = Choose(Small());
  EXPECT_EQ(answer.max_model_len, 2'048);
  EXPECT_EQ(answer.num_pages, 16 * 64);
  EXPECT_EQ(answer.length_reason, "the model's own");
  EXPECT_EQ(answer.pool_reason, "every running sequence at full length");
}

TEST(ChoosePoolTest, AnEighthOfWhatIsFreeAndAtMost512MiB) {
  PoolQuestion question = Small();
  question.available_bytes = 80 * kMiB;
  EXPECT_EQ(Choose(question).num_pages, 102);  // 10 MiB
  question.available_bytes = 64 * kGiB;
  question.max_running = 1'000;
  EXPECT_EQ(Choose(question).num_pages, 5'242);  // 512 MiB
}

// A chat without max_tokens asks for the whole context.
TEST(ChoosePoolTest, NeverLessThanOneSequenceAtFullLength) {
  PoolQuestion question = Small();
  question.trained_context = 32'768;  // 1,024 pages of 1 MiB: more than 512 MiB
  question.page_bytes = kMiB;
  EXPECT_EQ(Choose(question).num_pages, 1'024);
  EXPECT_THAT(Choose(question).pool_reason, HasSubstr("one sequence"));
  question.available_bytes = 2 * kGiB;  // an eighth of it is 256 MiB
  EXPECT_EQ(Choose(question).num_pages, 1'024);
  question.available_bytes = 0;  // unknown
  EXPECT_EQ(Choose(question).num_pages, 1'024);
  EXPECT_EQ(Choose(question).max_model_len, 32'768);
}

TEST(ChoosePoolTest, ShortOfMemoryTheChosenContextIsShorterAndThatIsSaid) {
  PoolQuestion question = Small();
  question.trained_context = 32'768;
  question.page_bytes = kMiB;
  question.available_bytes = 2 * kGiB - 1;
  const PoolAnswer answer = Choose(question);
  EXPECT_EQ(answer.max_model_len, 1'023 * 32);
  EXPECT_EQ(answer.num_pages, 1'023);
  EXPECT_THAT(answer.length_reason, HasSubstr("free memory"));
  question.available_bytes = 1;
  question.max_model_len = 0;
  EXPECT_EQ(ChoosePool(question).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ChoosePoolTest, AnAskedContextIsServedOrRefusedByName) {
  PoolQuestion question = Small();
  question.trained_context = 1 << 24;
  question.page_bytes = kMiB;
  question.max_model_len = 100'000;  // 3,125 pages
  EXPECT_EQ(Choose(question).max_model_len, 100'000);
  EXPECT_EQ(Choose(question).num_pages, 3'125);
  question.max_model_len = 1 << 24;  // 512 GiB
  const absl::Status refused = ChoosePool(question).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-model-len 16777216"));
  question.trained_context = 1'000;
  question.max_model_len = 1'001;
  EXPECT_EQ(ChoosePool(question).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChoosePoolTest, TheDefaultContextHasABound) {
  PoolQuestion question = Small();
  question.trained_context = kDefaultMaxModelLen;
  EXPECT_EQ(Choose(question).length_reason, "the model's own");
  question.trained_context = 1 << 24;
  EXPECT_EQ(Choose(question).max_model_len, kDefaultMaxModelLen);
  EXPECT_THAT(Choose(question).length_reason, HasSubstr("of the model's 16777216"));
}

TEST(ChoosePoolTest, AnAskedPoolIsTakenAsItIs) {
  PoolQuestion question = Small();
  question.pool_bytes = 10 * question.page_bytes + 1;
  EXPECT_EQ(Choose(question).num_pages, 10);
  EXPECT_EQ(Choose(question).max_model_len, 2'048);
  question.pool_bytes = question.page_bytes - 1;
  const absl::Status refused = ChoosePool(question).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--kv-pool-bytes"));
}

}  // namespace
}  // namespace intactkv
