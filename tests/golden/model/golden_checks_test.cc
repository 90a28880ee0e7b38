#include "tests/golden/model/golden_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "engine/base/status_macros.h"
#include "tests/golden/model/tiny_reference.h"

namespace intactkv::golden {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Serves the tiny reference's own rows; a test plants its errors in `rows` and `free_ids`.
class ReplayStack : public ServingStack {
 public:
  explicit ReplayStack(const TinyReference& tiny) : rows(tiny.rows), tiny_(tiny) {}

  int vocab_size() const override { return vocab; }
  absl::StatusOr<std::vector<ForcedRun>> RunTeacherForced(
      std::span<const ForcedPrompt> prompts) override {
    group_sizes.push_back(prompts.size());
    std::vector<ForcedRun> runs;
    for (const ForcedPrompt& forced : prompts) {
      const size_t p = IndexOf(forced.prompt);
      EXPECT_EQ(forced.continuation, tiny_.reference.prompts[p].GreedyIds());
      ForcedRun& run = runs.emplace_back();
      for (const auto& row : rows[p]) run.logits.insert(run.logits.end(), row.begin(), row.end());
      run.usage.pinned_tokens = static_cast<int32_t>(p + 1);
    }
    return runs;
  }
  absl::StatusOr<std::vector<std::vector<TokenId>>> RunGreedy(
      std::span<const std::vector<TokenId>> prompts, int num_tokens) override {
    std::vector<std::vector<TokenId>> answers;
    for (const auto& prompt : prompts) {
      const size_t p = IndexOf(prompt);
      answers.push_back(tiny_.reference.prompts[p].GreedyIds());
      EXPECT_EQ(std::ssize(answers.back()), num_tokens);
      if (const auto it = free_ids.find(p); it != free_ids.end()) answers.back() = it->second;
    }
    return answers;
  }

  std::vector<std::vector<std::vector<float>>> rows;
  std::map<size_t, std::vector<TokenId>> free_ids;
  std::vector<size_t> group_sizes;
  int vocab = 50;

 private:
  size_t IndexOf(const std::vector<TokenId>& prompt) const { return prompt.size() - 1; }
  const TinyReference& tiny_;
};

constexpr GoldenOptions kExact{.group = 2, .check_exact = true};
constexpr GoldenOptions kClose{.group = 2, .check_close = true};

GoldenReport Check(const TinyReference& tiny, ServingStack& stack, const GoldenOptions& options) {
  auto report = RunGolden(tiny.reference, stack, options);
  EXPECT_TRUE(report.ok()) << report.status();
  return report.value_or(GoldenReport{});
}

TEST(GoldenChecksTest, AFaithfulServerPassesBoth) {
  const TinyReference tiny = MakeTinyReference({});
  ReplayStack stack(tiny);
  for (const GoldenOptions& options : {kExact, kClose}) {
    const GoldenReport report = Check(tiny, stack, options);
    EXPECT_THAT(report.failures, IsEmpty());
    EXPECT_EQ(report.num_positions, 12);
    EXPECT_EQ(report.top1, 1);
    EXPECT_EQ(report.pinned_tokens, 1 + 2 + 3);
    EXPECT_EQ(report.least_pinned_tokens, 1);
    EXPECT_THAT(report.Summary(), HasSubstr("12 positions"));
  }
  EXPECT_THAT(stack.group_sizes, ElementsAre(2, 1, 2, 1));
}

TEST(GoldenChecksTest, ALogitIsCheckedAtBothEdgesOfItsBound) {
  const TinyReference tiny = MakeTinyReference({});
  const ReferencePosition& position = tiny.reference.prompts[1].positions[2];
  const float bound = static_cast<float>(kLogitBound) * position.max_abs_logit;
  for (const TokenId id : {position.top_ids[7], tiny.reference.fixed_ids[0]}) {
    ReplayStack stack(tiny);
    float& logit = stack.rows[1][2][static_cast<size_t>(id.value)];
    const float before = logit;
    logit = before + 0.99f * bound;
    EXPECT_THAT(Check(tiny, stack, kExact).failures, IsEmpty());
    logit = before + 1.01f * bound;
    EXPECT_THAT(Check(tiny, stack, kExact).failures,
                ElementsAre(HasSubstr("prompt 1, position 2: logit off by")));
  }
}

TEST(GoldenChecksTest, WeightOnIdsThatWereNotRecordedShowsInLogsumexp) {
  const TinyReference tiny = MakeTinyReference({});
  const ReferencePosition& position = tiny.reference.prompts[0].positions[3];
  ReplayStack stack(tiny);
  auto& row = stack.rows[0][3];
  for (size_t id = 0; id < row.size(); ++id) {
    const TokenId token(static_cast<int32_t>(id));
    const bool stored = std::ranges::count(position.top_ids, token) != 0 ||
                        std::ranges::count(tiny.reference.fixed_ids, token) != 0;
    if (!stored) row[id] += 0.05f;
  }
  EXPECT_THAT(Check(tiny, stack, kExact).failures,
              ElementsAre(HasSubstr("prompt 0, position 3: logsumexp off by")));
}

// A row whose two best logits differ by `margin`; `served` has them swapped.
struct CloseRow {
  std::vector<float> reference, served;
};
CloseRow MakeCloseRow(const TinyReference& tiny, float margin) {
  CloseRow row{.reference = tiny.rows[2][1], .served = {}};
  row.reference[8] = 7.5f;
  row.reference[9] = 7.5f - margin;
  row.reference[20] = -2000.0f;  // the scale: with it the bound is wider than the margin
  row.served = row.reference;
  std::swap(row.served[8], row.served[9]);
  return row;
}

TEST(GoldenChecksTest, TheArgmaxMayDifferOnlyWhereTheReferenceHardlyDecides) {
  for (const bool clear : {false, true}) {
    TinyReference tiny = MakeTinyReference({.num_prompts = 3, .num_positions = 40});
    const CloseRow row = MakeCloseRow(tiny, clear ? 0.002f : 0.0009f);
    tiny.rows[2][1] = row.reference;
    tiny.reference.prompts[2].positions[1] = RecordRow(row.reference, tiny.reference.fixed_ids, 8);
    ASSERT_EQ(tiny.reference.prompts[2].positions[1].greedy, TokenId(8));
    ReplayStack stack(tiny);
    stack.rows[2][1] = row.served;
    std::vector<TokenId> answer = tiny.reference.prompts[2].GreedyIds();
    answer[1] = TokenId(9);
    answer[5] = TokenId(0);
    stack.free_ids[2] = answer;
    const GoldenReport report = Check(tiny, stack, kExact);
    EXPECT_EQ(report.num_unclear, clear ? 0 : 1);
    if (clear) {
      EXPECT_THAT(report.failures,
                  ElementsAre(HasSubstr("prompt 2, position 1: argmax 9, not 8"),
                              HasSubstr("prompt 2: free-running ids leave the reference at 1")));
    } else {
      EXPECT_THAT(report.failures, IsEmpty());
    }
  }
}

TEST(GoldenChecksTest, FreeRunningIdsAreOwedBeforeTheUnclearPosition) {
  const TinyReference tiny = MakeTinyReference({});
  ReplayStack stack(tiny);
  std::vector<TokenId> answer = tiny.reference.prompts[1].GreedyIds();
  answer.pop_back();
  stack.free_ids[1] = answer;
  EXPECT_THAT(Check(tiny, stack, kExact).failures,
              ElementsAre(HasSubstr("prompt 1: free-running ids leave the reference at 3")));
}

TEST(GoldenChecksTest, OnePercentOfUnclearPositionsIsAllowedAndNotMore) {
  for (const size_t unclear : {size_t{1}, size_t{2}}) {
    TinyReference tiny = MakeTinyReference({.num_prompts = 1, .num_positions = 100});
    for (size_t i = 0; i < unclear; ++i) {
      auto& row = tiny.rows[0][10 + i];
      row[8] = 7.5f;
      row[9] = 7.4995f;
      tiny.reference.prompts[0].positions[10 + i] = RecordRow(row, tiny.reference.fixed_ids, 8);
    }
    ReplayStack stack(tiny);
    const GoldenReport report = Check(tiny, stack, kExact);
    EXPECT_EQ(report.num_unclear, static_cast<int>(unclear));
    EXPECT_EQ(report.failures.size(), unclear == 1 ? 0u : 1u);
    EXPECT_THAT(Check(tiny, stack, kClose).failures, IsEmpty());
  }
}

TEST(GoldenChecksTest, TheMeanKlIsBounded) {
  const TinyReference tiny = MakeTinyReference({});
  ReplayStack stack(tiny);
  const auto blur = [&](float by) {  // flattens every distribution
    for (size_t p = 0; p < stack.rows.size(); ++p) {
      for (size_t i = 0; i < stack.rows[p].size(); ++i) {
        for (size_t id = 0; id < stack.rows[p][i].size(); ++id) {
          stack.rows[p][i][id] = tiny.rows[p][i][id] * (1 - by);
        }
      }
    }
  };
  blur(0.02f);
  const GoldenReport near = Check(tiny, stack, kClose);
  EXPECT_THAT(near.failures, IsEmpty());
  EXPECT_GT(near.mean_kl, 1e-5);
  EXPECT_GE(near.worst_kl, near.mean_kl);
  blur(0.2f);
  const GoldenReport far = Check(tiny, stack, kClose);
  EXPECT_GT(far.mean_kl, kMaxMeanKl);
  EXPECT_THAT(far.failures, ElementsAre(HasSubstr("mean KL")));
}

TEST(GoldenChecksTest, Top1MayFallTo94PercentAndNotBelow) {
  for (const size_t wrong : {size_t{6}, size_t{7}}) {
    TinyReference tiny = MakeTinyReference({.num_prompts = 1, .num_positions = 100});
    ReplayStack stack(tiny);
    for (size_t i = 0; i < wrong; ++i) {
      auto& row = tiny.rows[0][i];
      row[8] = 7.501f;
      row[9] = 7.5f;
      tiny.reference.prompts[0].positions[i] = RecordRow(row, tiny.reference.fixed_ids, 8);
      stack.rows[0][i] = row;
      std::swap(stack.rows[0][i][8], stack.rows[0][i][9]);
    }
    const GoldenReport report = Check(tiny, stack, kClose);
    EXPECT_DOUBLE_EQ(report.top1, static_cast<double>(100 - wrong) / 100);
    EXPECT_EQ(report.failures.size(), wrong == 6 ? 0u : 1u);
  }
}

TEST(GoldenChecksTest, ANonFiniteLogitFailsEitherCheck) {
  const TinyReference tiny = MakeTinyReference({});
  ReplayStack stack(tiny);
  stack.rows[0][0][1] = std::numeric_limits<float>::quiet_NaN();
  for (const GoldenOptions& options : {kExact, kClose}) {
    EXPECT_THAT(Check(tiny, stack, options).failures,
                ::testing::Contains(HasSubstr("prompt 0, position 0: a logit is not finite")));
  }
}

TEST(GoldenChecksTest, AnotherVocabularyIsRefused) {
  const TinyReference tiny = MakeTinyReference({});
  ReplayStack stack(tiny);
  stack.vocab = 51;
  EXPECT_EQ(RunGolden(tiny.reference, stack, kExact).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(GoldenChecksTest, AMissingRowIsAnError) {
  const TinyReference tiny = MakeTinyReference({});
  ReplayStack stack(tiny);
  stack.rows[2].pop_back();
  EXPECT_EQ(RunGolden(tiny.reference, stack, kExact).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace intactkv::golden
