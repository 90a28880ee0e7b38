#include <gtest/gtest.h>

#include "server/main/machine.h"

namespace intactkv {
namespace {

TEST(QuotaCoresTest, RoundsUpAndKnowsNoQuota) {
  EXPECT_EQ(QuotaCores("200000 100000"), 2);
  EXPECT_EQ(QuotaCores("200001 100000"), 3);
  EXPECT_EQ(QuotaCores("150000 100000"), 2);
  EXPECT_EQ(QuotaCores("1000 100000"), 1);
  EXPECT_EQ(QuotaCores("9223372036854775807 1"), 1 << 20);
  for (const char* none :
       {"max 100000", "", "200000", "x y", "-1 100000", "0 100000", "100000 0"}) {
    EXPECT_EQ(QuotaCores(none), 0) << none;
  }
}

TEST(QuotaCoresTest, ThisMachineAnswers) {
  EXPECT_GE(NumQuotaCores(), 0);
  EXPECT_GE(NumAllowedCores(), 1);
}

}  // namespace
}  // namespace intactkv
