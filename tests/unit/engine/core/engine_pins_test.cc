// Pins while the engine lives: budget, the ready gate, Unpin, and which tokens a request uses.
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

using absl::StatusCode;

PinRequest PinOf(int count, int32_t first = 1, const std::string& owner = "") {
  return {.name = "p" + std::to_string(first), .tokens = MakeTokens(count, first), .owner = owner};
}

TEST(EnginePinsTest, ReportsWhatItPinned) {
  Bench bench;
  const auto info = bench.engine().Pin(PinOf(33));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "p1");
  EXPECT_EQ(info->num_tokens, 33);
  EXPECT_EQ(info->num_blocks, 2);
  EXPECT_EQ(info->bytes, 200);
  EXPECT_EQ(info->num_matches, 0);
  EXPECT_FALSE(info->checksum.empty());
  const std::vector<PrefixInfo> listed = bench.engine().ListPrefixes();
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].checksum, info->checksum);
  EXPECT_EQ(bench.Pages(PageClass::kPinned).pinned, 2);
  bench.ExpectAuditClean();
}

TEST(EnginePinsTest, TheBudgetIsExact) {
  Bench bench;  // 8 blocks
  EXPECT_EQ(bench.engine().Pin(PinOf(257)).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(bench.Pages(PageClass::kPinned).free, 8);
  EXPECT_TRUE(bench.engine().Pin(PinOf(256)).ok());
  EXPECT_EQ(bench.engine().Pin(PinOf(1, 500)).status().code(), StatusCode::kResourceExhausted);
  bench.ExpectAuditClean();
}

TEST(EnginePinsTest, RefusesTokensThatCannotBeAPrefix) {
  EngineCoreOptions options = SmallOptions();
  options.max_model_len = 64;
  Bench bench(options);
  PinRequest foreign = PinOf(3);
  foreign.tokens[1] = TokenId(1'000);
  PinRequest negative = PinOf(3);
  negative.tokens[1] = TokenId(-1);
  for (const PinRequest& bad : {PinOf(0), foreign, negative, PinOf(64)}) {
    EXPECT_EQ(bench.engine().Pin(bad).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(bench.num_builds(), 0);
  EXPECT_TRUE(bench.engine().Pin(PinOf(63)).ok());
}

TEST(EnginePinsTest, AfterReadyRefusedWithoutRuntimePins) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin(PinOf(40)).ok());
  EXPECT_EQ(bench.engine().Stats().full_precision_weight_bytes, 4);
  bench.engine().MarkReady();
  EXPECT_EQ(bench.engine().Stats().full_precision_weight_bytes, 0);
  EXPECT_EQ(bench.engine().Pin(PinOf(3, 500)).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(bench.num_builds(), 1);
  EXPECT_EQ(bench.engine().ListPrefixes().size(), 1u);
}

TEST(EnginePinsTest, RuntimePinsHoldFullPrecisionWeightsOnlyWhileTheyBuild) {
  EngineCoreOptions options = SmallOptions();
  options.runtime_pins = true;
  Bench bench(options);
  bench.engine().MarkReady();
  ASSERT_TRUE(bench.engine().Pin(PinOf(40)).ok());
  EXPECT_EQ(bench.num_builds(), 1);
  EXPECT_EQ(bench.engine().Stats().full_precision_weight_bytes, 0);
  const GenerationRequest request = MakeRequest(60, 5);
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 40);
}

TEST(EnginePinsTest, APromptThatIsThePinStillComputesItsLastToken) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin(PinOf(40)).ok());
  const GenerationRequest whole = MakeRequest(40, 5);
  const GenerationRequest part = MakeRequest(17, 5);
  const GenerationRequest none = MakeRequest(17, 5, 500);
  const auto a = bench.Submit(whole);
  const auto b = bench.Submit(part);
  const auto c = bench.Submit(none);
  bench.RunUntilIdle();
  bench.ExpectAnswer(whole, *a, 39);
  bench.ExpectAnswer(part, *b, 16);
  bench.ExpectAnswer(none, *c, 0);
  EXPECT_EQ(a->info.usage.pinned_tokens, 39);
  EXPECT_EQ(a->info.usage.cached_tokens, 39);
  EXPECT_EQ(bench.engine().ListPrefixes().at(0).num_matches, 2);
}

TEST(EnginePinsTest, OnlyTheOwnerMatchesAnOwnedPin) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin(PinOf(40, 1, "alice")).ok());
  GenerationRequest alice = MakeRequest(50, 3);
  alice.tenant = "alice";
  GenerationRequest bob = alice;
  bob.tenant = "bob";
  const auto a = bench.Submit(alice);
  const auto b = bench.Submit(bob);
  bench.RunUntilIdle();
  bench.ExpectAnswer(alice, *a, 40);
  bench.ExpectAnswer(bob, *b, 0);
}

TEST(EnginePinsTest, AnUnpinnedPrefixLivesAsLongAsItsLastRequest) {
  Bench bench;
  const auto info = bench.engine().Pin(PinOf(40));
  ASSERT_TRUE(info.ok());
  const GenerationRequest request = MakeRequest(50, 20);
  const auto old = bench.Submit(request);
  bench.engine().Step();
  EXPECT_TRUE(bench.engine().Unpin(info->id).ok());
  EXPECT_EQ(bench.engine().Unpin(info->id).code(), StatusCode::kNotFound);
  EXPECT_TRUE(bench.engine().ListPrefixes().empty());
  EXPECT_EQ(bench.Pages(PageClass::kPinned).pinned, 0);
  EXPECT_EQ(bench.Pages(PageClass::kPinned).owned, 2) << "the running request keeps them";
  bench.ExpectAuditClean();
  const auto young = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *old, 40);
  bench.ExpectAnswer(request, *young, 0);
  EXPECT_EQ(bench.Pages(PageClass::kPinned).free, 8);
}

TEST(EnginePinsTest, AFailedBuildLeavesNothingBehind) {
  Bench bench;
  bench.FailBuilds(1);
  EXPECT_EQ(bench.engine().Pin(PinOf(40)).status().code(), StatusCode::kInternal);
  EXPECT_TRUE(bench.engine().ListPrefixes().empty());
  EXPECT_EQ(bench.Pages(PageClass::kPinned).free, 8);
  bench.ExpectAuditClean();
  EXPECT_TRUE(bench.engine().Pin(PinOf(40)).ok()) << "the next one is not hurt";
}

TEST(EnginePinsTest, WithoutFullPrecisionWeightsNothingCanBePinned) {
  HashExecutorOptions executor_options;
  executor_options.stored = std::make_shared<HashPages>(8);
  ManualClock clock;
  EngineCore engine(SmallOptions(),
                    EngineCoreParts{.executor = std::make_unique<HashExecutor>(executor_options),
                                    .full_precision = {},
                                    .clock = &clock,
                                    .rng = Rng(1)});
  EXPECT_EQ(engine.Pin(PinOf(3)).status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace intactkv
