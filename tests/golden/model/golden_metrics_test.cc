#include "tests/golden/model/golden_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/golden/model/tiny_reference.h"

namespace intactkv::golden {
namespace {

// Five ids with probabilities 1/2, 1/4, 1/8, 1/16, 1/16.
std::vector<float> HalvingRow() {
  std::vector<float> row;
  for (const double p : {0.5, 0.25, 0.125, 0.0625, 0.0625}) {
    row.push_back(static_cast<float>(std::log(p)));
  }
  return row;
}

const std::vector<TokenId> kFixed = {TokenId(4)};

TEST(GoldenMetricsTest, TheSameRowHasNoDistance) {
  const std::vector<float> row = HalvingRow();
  const RowDistance d = CompareRow(kFixed, RecordRow(row, kFixed, 2), row);
  EXPECT_TRUE(d.finite);
  EXPECT_EQ(d.logit, 0);
  EXPECT_NEAR(d.logsumexp, 0, 1e-7);
  EXPECT_NEAR(d.kl, 0, 1e-6);
  EXPECT_EQ(d.argmax, TokenId(0));
}

TEST(GoldenMetricsTest, LogitDistanceIsRelativeToTheLargestReferenceLogit) {
  const std::vector<float> row = HalvingRow();
  const ReferencePosition reference = RecordRow(row, kFixed, 2);
  ASSERT_FLOAT_EQ(reference.max_abs_logit, static_cast<float>(std::log(16.0)));
  std::vector<float> top = row, fixed = row, unstored = row;
  top[1] += 0.5f;
  fixed[4] -= 0.25f;
  unstored[3] += 0.5f;
  EXPECT_NEAR(CompareRow(kFixed, reference, top).logit, 0.5 / std::log(16.0), 1e-6);
  EXPECT_NEAR(CompareRow(kFixed, reference, fixed).logit, 0.25 / std::log(16.0), 1e-6);
  EXPECT_EQ(CompareRow(kFixed, reference, unstored).logit, 0) << "its logit was not recorded";
  EXPECT_GT(CompareRow(kFixed, reference, unstored).logsumexp, 0.01) << "but its weight was";
}

TEST(GoldenMetricsTest, AShiftOfAllLogitsMovesLogsumexpButNotKl) {
  const std::vector<float> row = HalvingRow();
  std::vector<float> shifted = row;
  for (float& x : shifted) x += 2;
  const RowDistance d = CompareRow(kFixed, RecordRow(row, kFixed, 2), shifted);
  EXPECT_NEAR(d.logsumexp, 2 / std::log(16.0), 1e-6);
  EXPECT_NEAR(d.kl, 0, 1e-6);
}

TEST(GoldenMetricsTest, KlIsOverTheTopIdsAndAllOthersAsOneCell) {
  const ReferencePosition reference = RecordRow(HalvingRow(), kFixed, 2);
  // Served: 1/4, 1/4, and 1/2 spread over the rest; how it is spread must not matter.
  for (const std::vector<double>& rest :
       {std::vector<double>{0.25, 0.125, 0.125}, std::vector<double>{0.01, 0.01, 0.48}}) {
    std::vector<float> served;
    for (const double p : {0.25, 0.25}) served.push_back(static_cast<float>(std::log(p)));
    for (const double p : rest) served.push_back(static_cast<float>(std::log(p)));
    const double want = 0.5 * std::log(2.0) + 0.25 * 0 + 0.25 * std::log(0.25 / 0.5);
    EXPECT_NEAR(CompareRow(kFixed, reference, served).kl, want, 1e-6);
  }
}

TEST(GoldenMetricsTest, ATieGoesToTheLowestId) {
  const std::vector<float> row = HalvingRow();
  std::vector<float> tie = row;
  tie[2] = tie[0];
  EXPECT_EQ(CompareRow(kFixed, RecordRow(row, kFixed, 2), tie).argmax, TokenId(0));
  tie[2] = std::nextafter(tie[0], 1.0f);
  EXPECT_EQ(CompareRow(kFixed, RecordRow(row, kFixed, 2), tie).argmax, TokenId(2));
}

TEST(GoldenMetricsTest, ANonFiniteLogitAnywhereIsAnInfiniteDistance) {
  const std::vector<float> row = HalvingRow();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> broken = row;
    broken[3] = bad;  // neither a top nor a fixed id
    const RowDistance d = CompareRow(kFixed, RecordRow(row, kFixed, 2), broken);
    EXPECT_FALSE(d.finite);
    EXPECT_TRUE(std::isinf(d.logit));
    EXPECT_TRUE(std::isinf(d.logsumexp));
    EXPECT_TRUE(std::isinf(d.kl));
    EXPECT_EQ(d.argmax, TokenId(-1));
  }
}

}  // namespace
}  // namespace intactkv::golden
