// ReplaceModel: admission stops, what was admitted finishes under the old weights, then pins and
// prefix cache are exchanged and who still waits is matched again.
#include <functional>
#include <optional>

#include "tests/support/forwarding_executor.h"
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

using absl::StatusCode;

PinRequest PinOf(const std::string& name, int count, int32_t first = 1) {
  return {.name = name, .tokens = MakeTokens(count, first), .owner = ""};
}

void StartReplacing(Bench& bench, uint64_t epoch, std::vector<PinRequest> pins,
                    std::optional<absl::Status>& result) {
  bench.engine().ReplaceModelAsync(bench.MakeExecutor(epoch), std::move(pins),
                                   [&result](absl::Status status) { result = std::move(status); });
}

TEST(EngineReplaceTest, TheAdmittedFinishUnderTheOldWeightsAndTheWaitingGetTheNew) {
  Bench bench(OneAtATime());
  ASSERT_TRUE(bench.engine().Pin(PinOf("old", 40)).ok());
  bench.engine().MarkReady();
  const GenerationRequest first = MakeRequest(50, 10);
  const GenerationRequest second = MakeRequest(60, 10);
  const auto admitted = bench.Submit(first);
  const auto waiting = bench.Submit(second);
  bench.engine().Step();
  ASSERT_EQ(bench.engine().Stats().waiting, 1);
  std::optional<absl::Status> result;
  StartReplacing(bench, 1, {PinOf("new", 20)}, result);
  int steps = 0;
  while (admitted->num_finishes == 0 && ++steps < 50) {
    bench.engine().Step();
    EXPECT_TRUE(waiting->tokens[0].empty()) << "admission has stopped";
  }
  bench.ExpectAnswer(first, *admitted, 40);
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(bench.engine().epoch(), 0u);
  bench.RunUntilIdle();
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->ok()) << *result;
  EXPECT_EQ(bench.engine().epoch(), 1u);
  bench.model().epoch = 1;
  bench.ExpectAnswer(second, *waiting, 20);  // the new pin's 20, not the old one's 40
  EXPECT_EQ(waiting->info.usage.pinned_tokens, 20);
  const std::vector<PrefixInfo> prefixes = bench.engine().ListPrefixes();
  ASSERT_EQ(prefixes.size(), 1u);
  EXPECT_EQ(prefixes[0].name, "new");
  EXPECT_EQ(bench.engine().Stats().full_precision_weight_bytes, 0);
  EXPECT_EQ(bench.Pages(PageClass::kPinned).free, 7);
  bench.ExpectNothingOwned();
}

TEST(EngineReplaceTest, ThePrefixCacheIsDropped) {
  Bench bench;
  const GenerationRequest request = MakeRequest(100, 3);
  (void)bench.Submit(request);
  bench.RunUntilIdle();
  const auto warm = bench.Submit(request);
  bench.RunUntilIdle();
  ASSERT_EQ(warm->info.usage.cached_tokens, 96);
  ASSERT_TRUE(bench.engine().ReplaceModel(bench.MakeExecutor(1), {}).ok());
  EXPECT_EQ(bench.Pages(PageClass::kStored).free, 32);
  bench.model().epoch = 1;
  const auto cold = bench.Submit(request);
  bench.RunUntilIdle();
  EXPECT_EQ(cold->info.usage.cached_tokens, 0);
  bench.ExpectAnswer(request, *cold, 0);
}

TEST(EngineReplaceTest, APreemptedRequestFinishesUnderTheOldWeights) {
  EngineCoreOptions options = SmallOptions();
  options.num_stored_blocks = 4;
  Bench bench(options);
  const GenerationRequest first = MakeRequest(33, 60);
  const GenerationRequest second = MakeRequest(33, 60, 500);
  const auto older = bench.Submit(first);
  const auto younger = bench.Submit(second);
  int steps = 0;
  while (bench.engine().Stats().preemptions == 0 && ++steps < 100) bench.engine().Step();
  ASSERT_EQ(bench.engine().Stats().preemptions, 1);
  std::optional<absl::Status> result;
  StartReplacing(bench, 1, {}, result);
  bench.RunUntilIdle();
  ASSERT_TRUE(result.has_value() && result->ok());
  EXPECT_EQ(bench.engine().epoch(), 1u);
  bench.ExpectAnswer(first, *older, 0);
  bench.ExpectAnswer(second, *younger, 0);
  bench.ExpectNothingOwned();
}

TEST(EngineReplaceTest, ASecondOneWhileTheFirstWaitsIsRefused) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 5));
  bench.engine().Step();
  std::optional<absl::Status> first;
  std::optional<absl::Status> second;
  StartReplacing(bench, 1, {}, first);
  StartReplacing(bench, 2, {}, second);
  bench.engine().Step();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->code(), StatusCode::kFailedPrecondition);
  EXPECT_FALSE(first.has_value());
  bench.RunUntilIdle();
  ASSERT_TRUE(first.has_value() && first->ok());
  EXPECT_EQ(bench.engine().epoch(), 1u);
}

TEST(EngineReplaceTest, PinsThatCannotBeChangeNothing) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin(PinOf("old", 40)).ok());
  PinRequest foreign = PinOf("foreign", 3);
  foreign.tokens[0] = TokenId(1'000);
  const std::vector<std::vector<PinRequest>> bad = {
      {PinOf("empty", 0)}, {foreign}, {PinOf("a", 129), PinOf("b", 128, 500)},  // 5 + 4 blocks of 8
  };
  for (const auto& pins : bad) {
    EXPECT_EQ(bench.engine().ReplaceModel(bench.MakeExecutor(1), pins).code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(bench.engine().epoch(), 0u);
  ASSERT_EQ(bench.engine().ListPrefixes().size(), 1u);
  EXPECT_EQ(bench.engine().ListPrefixes()[0].name, "old");
  const GenerationRequest request = MakeRequest(50, 4);
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 40);
}

// The whole budget is there for the new pins, although requests that wait were matched to the old.
TEST(EngineReplaceTest, WaitingRequestsDoNotKeepTheOldPinsBlocks) {
  Bench bench(OneAtATime());
  ASSERT_TRUE(bench.engine().Pin(PinOf("old", 256)).ok());
  const auto admitted = bench.Submit(MakeRequest(260, 4));
  const GenerationRequest request = MakeRequest(270, 4);
  const auto waiting = bench.Submit(request);
  bench.engine().Step();
  std::optional<absl::Status> result;
  StartReplacing(bench, 1, {PinOf("new", 256)}, result);
  bench.RunUntilIdle();
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->ok()) << *result;
  bench.model().epoch = 1;
  bench.ExpectAnswer(request, *waiting, 256);
}

TEST(EngineReplaceTest, ABuildThatFailsLeavesTheNewModelServingWithoutThatPin) {
  Bench bench;
  bench.FailBuilds(1);
  const absl::Status status =
      bench.engine().ReplaceModel(bench.MakeExecutor(1), {PinOf("bad", 40)});
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_EQ(bench.engine().epoch(), 1u);
  EXPECT_TRUE(bench.engine().ListPrefixes().empty());
  bench.model().epoch = 1;
  const GenerationRequest request = MakeRequest(50, 4);
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 0);
}

TEST(EngineReplaceTest, AWaitingPromptOutsideTheNewVocabularyFailsAlone) {
  Bench bench(OneAtATime());
  const auto admitted = bench.Submit(MakeRequest(10, 3));
  const auto foreign = bench.Submit(MakeRequest(10, 3, 895));
  const GenerationRequest request = MakeRequest(10, 3, 890);
  const auto fine = bench.Submit(request);
  bench.engine().Step();
  bench.model().vocab_size = 900;
  std::optional<absl::Status> result;
  StartReplacing(bench, 1, {}, result);
  bench.RunUntilIdle();
  ASSERT_TRUE(result.has_value() && result->ok());
  bench.model().epoch = 1;
  EXPECT_EQ(foreign->num_finishes, 1);
  EXPECT_EQ(foreign->info.status.code(), StatusCode::kInvalidArgument);
  bench.ExpectAnswer(request, *fine, 0);
  EXPECT_EQ(bench.TrySubmit(MakeRequest(1, 3, 900)).code(), StatusCode::kInvalidArgument);
}

// An executor that lets the test act at the moment when the engine asks for the new vocabulary.
class HookedExecutor : public ForwardingExecutor {
 public:
  HookedExecutor(std::unique_ptr<Executor> inner, std::function<void()> hook)
      : ForwardingExecutor(std::move(inner)), hook_(std::move(hook)) {}
  int vocab_size() const override {
    if (hook_) std::exchange(hook_, nullptr)();
    return ForwardingExecutor::vocab_size();
  }

 private:
  mutable std::function<void()> hook_;
};

// Submit checks the ids on the client's thread; the model may change before the engine takes it.
TEST(EngineReplaceTest, ARequestCheckedAgainstTheOldVocabularyHurtsNobody) {
  Bench bench;
  bench.model() = {.epoch = 1, .vocab_size = 900};
  const GenerationRequest request = MakeRequest(10, 3);
  std::shared_ptr<Record> foreign;
  std::shared_ptr<Record> fine;
  auto executor = std::make_unique<HookedExecutor>(bench.MakeExecutor(1), [&] {
    foreign = bench.Submit(MakeRequest(10, 3, 950));
    fine = bench.Submit(request);
  });
  ASSERT_TRUE(bench.engine().ReplaceModel(std::move(executor), {}).ok());
  ASSERT_TRUE(foreign != nullptr);
  bench.RunUntilIdle();
  EXPECT_EQ(foreign->num_finishes, 1);
  EXPECT_EQ(foreign->info.status.code(), StatusCode::kInvalidArgument);
  bench.ExpectAnswer(request, *fine, 0);
}

// A longer private part may no longer fit: the old pin covered it.
TEST(EngineReplaceTest, AWaitingRequestThatOnlyFittedBesideTheOldPinFails) {
  EngineCoreOptions options = OneAtATime();
  options.num_stored_blocks = 2;
  Bench bench(options);
  ASSERT_TRUE(bench.engine().Pin(PinOf("old", 64)).ok());
  const auto admitted = bench.Submit(MakeRequest(10, 3));
  const auto waiting = bench.Submit(MakeRequest(100, 3));
  bench.engine().Step();
  std::optional<absl::Status> result;
  StartReplacing(bench, 1, {}, result);
  bench.RunUntilIdle();
  ASSERT_TRUE(result.has_value() && result->ok());
  EXPECT_EQ(waiting->num_finishes, 1);
  EXPECT_EQ(waiting->info.status.code(), StatusCode::kInvalidArgument);
  bench.ExpectNothingOwned();
}

}  // namespace
}  // namespace intactkv
