#include "tests/golden/model/kv_study.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace intactkv::golden {
namespace {

std::vector<float> Logs(std::initializer_list<double> probabilities, double shift) {
  std::vector<float> row;
  for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p) + shift));
  return row;
}

TEST(FormatCostTest, TheSameRowCostsNothingWhereverItsZeroLies) {
  FormatCost cost;
  cost.AddRow(Logs({0.5, 0.25, 0.25}, 0), Logs({0.5, 0.25, 0.25}, 7), TokenId(1));
  EXPECT_NEAR(cost.mean_kl(), 0, 1e-6);
  EXPECT_NEAR(cost.perplexity_percent(), 0, 1e-4);
  EXPECT_EQ(cost.top1_percent(), 100);
}

TEST(FormatCostTest, EachNumberIsTheMeanOverItsRows) {
  FormatCost cost;
  cost.AddRow(Logs({0.5, 0.25, 0.25}, 0), Logs({0.25, 0.5, 0.25}, 3), TokenId(0));
  cost.AddRow(Logs({0.5, 0.25, 0.25}, 0), Logs({0.5, 0.25, 0.25}, 0), TokenId(2));
  EXPECT_EQ(cost.num_rows(), 2);
  EXPECT_NEAR(cost.mean_kl(), (0.5 * std::log(2) - 0.25 * std::log(2)) / 2, 1e-6);
  EXPECT_EQ(cost.top1_percent(), 50);
  // The text's first id went from 1/2 to 1/4: its perplexity grows by the square root of 2.
  EXPECT_NEAR(cost.perplexity_percent(), 100 * (std::sqrt(2.0) - 1), 1e-3);
  EXPECT_EQ(cost.Summary(), "2 rows: mean KL 0.08664, top-1 50.0 %, perplexity +41.42 %");
}

TEST(FormatCostTest, TheLowestOfEqualIdsIsTheLikeliest) {
  FormatCost cost;
  cost.AddRow(Logs({0.4, 0.4, 0.2}, 0), Logs({0.4, 0.4, 0.2}, 0), TokenId(0));
  cost.AddRow(Logs({0.4, 0.4, 0.2}, 0), Logs({0.3, 0.5, 0.2}, 0), TokenId(0));
  EXPECT_EQ(cost.top1_percent(), 50);
}

}  // namespace
}  // namespace intactkv::golden
