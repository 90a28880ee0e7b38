// What an audit tells beside the counts: the ledger's totals and last records, and the gauge.
#include <algorithm>

#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

int64_t TotalOf(const AuditReport& report, const std::string& event) {
  for (const auto& [name, total] : report.ledger_totals) {
    if (name == event) return total;
  }
  ADD_FAILURE() << "no total of " << event;
  return -1;
}

TEST(EngineAuditTest, TellsWhatHappenedToTheBlocks) {
  Bench bench;
  const auto pin = bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""});
  ASSERT_TRUE(pin.ok());
  bench.engine().MarkReady();
  GenerationRequest request;
  request.prompt = MakeTokens(80);  // 40 pinned, 40 of its own: one full block
  request.max_new_tokens = 2;
  (void)bench.Submit(request);
  bench.RunUntilIdle();
  ASSERT_TRUE(bench.engine().Unpin(pin->id).ok());
  const absl::StatusOr<AuditReport> report = bench.engine().Audit();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(TotalOf(*report, "pin"), 1);
  EXPECT_EQ(TotalOf(*report, "unpin"), 1);
  EXPECT_EQ(TotalOf(*report, "promote"), 3) << "two blocks of the pin, one of the request";
  EXPECT_EQ(TotalOf(*report, "publish"), 1);
  EXPECT_EQ(TotalOf(*report, "preempt"), 0);
  EXPECT_EQ(TotalOf(*report, "allocate"), TotalOf(*report, "free") + 1) << "one block is cached";
  ASSERT_FALSE(report->recent.empty());
  EXPECT_TRUE(std::ranges::any_of(report->recent, [](const std::string& line) {
    return line.find("unpin of prefix 1, blocks 2") != std::string::npos;
  }));
}

TEST(EngineAuditTest, TheGaugeIsZeroAtRestAndUnderLoad) {
  Bench bench;
  for (int i = 0; i < 4; ++i) {
    GenerationRequest request;
    request.prompt = MakeTokens(50, 100 * i);
    request.max_new_tokens = 3;
    (void)bench.Submit(request);
  }
  while (bench.engine().Step()) {
    ASSERT_TRUE(bench.engine().Audit().ok());
    const auto unaccounted = bench.engine().Stats().unaccounted_pages;
    EXPECT_EQ(unaccounted, (std::array<int32_t, 3>{}));
  }
}

}  // namespace
}  // namespace intactkv
