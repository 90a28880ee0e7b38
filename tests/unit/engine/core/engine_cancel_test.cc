// A cancelled or late request, in every state that it can be in: one OnFinish, no token after it,
// pages back within one step, and nobody else notices.
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

int NumTokens(const Record& record) {
  int count = 0;
  for (const auto& tokens : record.tokens) count += static_cast<int>(tokens.size());
  return count;
}

// The request ended with `code` and its sink is gone.
void ExpectEnded(const Record& record, absl::StatusCode code) {
  EXPECT_EQ(record.num_finishes, 1);
  EXPECT_EQ(record.info.status.code(), code) << record.info.status;
  EXPECT_FALSE(record.token_after_finish);
  EXPECT_TRUE(record.destroyed);
  EXPECT_EQ(record.info.usage.completion_tokens, NumTokens(record));
}

TEST(EngineCancelTest, QueuedBeforeTheEngineTookIt) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(40, 8));
  bench.Cancel(0);
  EXPECT_EQ(record->num_finishes, 0) << "only the engine thread calls a sink";
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  EXPECT_EQ(record->info.usage.prompt_tokens, 40);
  EXPECT_EQ(record->info.first_token, absl::InfiniteDuration());
  EXPECT_EQ(bench.executor().num_rows(), 0) << "nothing was computed for it";
  bench.ExpectNothingOwned();
}

// The engine looks for cancelled requests after it took what was in its queue. A request that
// arrives and is cancelled between the two must be found by the next step.
TEST(EngineCancelTest, SubmittedAndCancelledWhileTheEngineTakesCommands) {
  Bench bench;
  std::shared_ptr<Record> record;
  // Runs while commands are taken; a client's thread could do the same at this moment.
  bench.engine().PinAsync({.name = "", .tokens = {}, .owner = ""},
                          [&](const absl::StatusOr<PrefixInfo>&) {
                            record = bench.Submit(MakeRequest(40, 8));
                            bench.CancelNewest();
                          });
  bench.engine().Step();
  ASSERT_NE(record, nullptr);
  ASSERT_EQ(record->num_finishes, 0) << "it came too late for this step";
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  EXPECT_EQ(bench.executor().num_rows(), 0) << "nothing was computed for it";
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kCancelled)], 1);
  bench.ExpectNothingOwned();
}

TEST(EngineCancelTest, ACancelledRequestIsNotMatched) {
  Bench bench;
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  const auto record = bench.Submit(MakeRequest(50, 8));
  bench.Cancel(0);
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  EXPECT_EQ(bench.engine().ListPrefixes().at(0).num_matches, 0);
}

TEST(EngineCancelTest, WaitingForAdmission) {
  Bench bench(OneAtATime());
  const GenerationRequest first = MakeRequest(10, 6);
  const auto running = bench.Submit(first);
  const auto waiting = bench.Submit(MakeRequest(40, 8, 500));
  bench.engine().Step();
  ASSERT_EQ(bench.engine().Stats().waiting, 1);
  bench.Cancel(1);
  bench.engine().Step();
  ExpectEnded(*waiting, absl::StatusCode::kCancelled);
  EXPECT_EQ(bench.engine().Stats().waiting, 0);
  EXPECT_EQ(running->num_finishes, 0);
  bench.RunUntilIdle();
  bench.ExpectAnswer(first, *running, 0);
  bench.ExpectNothingOwned();
}

TEST(EngineCancelTest, Prefilling) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(100, 8));  // 48 rows a step
  bench.engine().Step();
  ASSERT_EQ(NumTokens(*record), 0);
  ASSERT_EQ(bench.Pages(PageClass::kStored).owned, 2);
  ASSERT_EQ(bench.Pages(PageClass::kHot).owned, 1);
  bench.Cancel(0);
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  EXPECT_EQ(bench.executor().num_rows(), 48) << "the step after the cancel computes nothing for it";
  EXPECT_EQ(bench.Pages(PageClass::kStored).cached, 1) << "its finished page may be hit later";
  bench.ExpectNothingOwned();
}

TEST(EngineCancelTest, Decoding) {
  Bench bench;
  const auto record = bench.Submit(MakeRequest(10, 30));
  for (int i = 0; i < 4; ++i) bench.engine().Step();
  ASSERT_EQ(NumTokens(*record), 4);
  bench.Cancel(0);
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  EXPECT_EQ(NumTokens(*record), 4);
  EXPECT_EQ(bench.engine().Stats().generated_tokens, 4);
  bench.ExpectNothingOwned();
}

TEST(EngineCancelTest, Preempted) {
  EngineCoreOptions options = SmallOptions();
  options.num_stored_blocks = 4;
  options.max_tokens_per_step = 100;
  Bench bench(options);
  const GenerationRequest first = MakeRequest(33, 60);
  const auto older = bench.Submit(first);
  const auto younger = bench.Submit(MakeRequest(33, 60, 500));
  int steps = 0;
  while (bench.engine().Stats().preemptions == 0 && ++steps < 100) bench.engine().Step();
  ASSERT_EQ(bench.engine().Stats().preemptions, 1);
  ASSERT_EQ(bench.engine().Stats().waiting, 1);
  const int tokens = NumTokens(*younger);
  ASSERT_GT(tokens, 0);
  bench.Cancel(1);
  bench.engine().Step();
  ExpectEnded(*younger, absl::StatusCode::kCancelled);
  EXPECT_EQ(younger->info.num_preemptions, 1);
  EXPECT_EQ(NumTokens(*younger), tokens);
  EXPECT_EQ(bench.engine().Stats().waiting, 0);
  bench.RunUntilIdle();
  bench.ExpectAnswer(first, *older, 0);
  EXPECT_EQ(older->info.num_preemptions, 0) << "the oldest is never preempted";
  bench.ExpectNothingOwned();
}

TEST(EngineCancelTest, FinishedStaysFinished) {
  Bench bench;
  const GenerationRequest request = MakeRequest(10, 3);
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.Cancel(0);
  bench.Cancel(0);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 0);
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kLength)], 1);
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kCancelled)], 0);
}

TEST(EngineCancelTest, DroppingTheHandleCancels) {
  Bench bench;
  auto record = std::make_shared<Record>();
  {
    auto handle =
        bench.engine().Submit(MakeRequest(10, 30), std::make_unique<RecordingSink>(record, 1));
    ASSERT_TRUE(handle.ok());
    bench.engine().Step();
    ASSERT_EQ(record->num_finishes, 0);
  }
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  bench.ExpectNothingOwned();
}

TEST(EngineCancelTest, AllChoicesEndTogether) {
  Bench bench;
  GenerationRequest request = MakeRequest(70, 30);
  request.n = 3;
  const auto record = bench.Submit(request);
  int steps = 0;
  while ((record->tokens[2].empty()) && ++steps < 20) bench.engine().Step();
  ASSERT_FALSE(record->tokens[2].empty()) << "all three choices run";
  bench.Cancel(0);
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kCancelled);
  bench.ExpectNothingOwned();
}

TEST(EngineDeadlineTest, ExpiresWhileItWaitsAndNotAMomentEarlier) {
  Bench bench(OneAtATime());
  const GenerationRequest first = MakeRequest(10, 40);
  const auto running = bench.Submit(first);
  GenerationRequest late = MakeRequest(10, 4, 500);
  late.deadline = bench.clock().Now() + absl::Milliseconds(10);
  const auto waiting = bench.Submit(late);
  bench.engine().Step();
  bench.clock().Advance(absl::Milliseconds(10) - absl::Nanoseconds(1));
  bench.engine().Step();
  ASSERT_EQ(waiting->num_finishes, 0);
  bench.clock().Advance(absl::Nanoseconds(1));
  bench.engine().Step();
  ExpectEnded(*waiting, absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(waiting->info.queue_time, absl::Milliseconds(10)) << "it was never admitted";
  EXPECT_EQ(running->num_finishes, 0);
  bench.RunUntilIdle();
  bench.ExpectAnswer(first, *running, 0);
  bench.ExpectNothingOwned();
}

TEST(EngineDeadlineTest, ExpiresWhileItRuns) {
  Bench bench;
  GenerationRequest request = MakeRequest(10, 40);
  request.deadline = bench.clock().Now() + absl::Milliseconds(5);
  const auto record = bench.Submit(request);
  bench.engine().Step();
  bench.engine().Step();
  ASSERT_EQ(NumTokens(*record), 2);
  bench.clock().Advance(absl::Milliseconds(5));
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(NumTokens(*record), 2) << "what came before the deadline was delivered";
  EXPECT_EQ(record->info.first_token, absl::ZeroDuration());
  bench.ExpectNothingOwned();
}

TEST(EngineDeadlineTest, PassedBeforeTheEngineTookIt) {
  Bench bench;
  GenerationRequest request = MakeRequest(10, 4);
  request.deadline = bench.clock().Now();
  const auto record = bench.Submit(request);
  bench.engine().Step();
  ExpectEnded(*record, absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(bench.executor().num_rows(), 0);
}

TEST(EngineDeadlineTest, AFinishInTimeLeavesNoDeadlineBehind) {
  Bench bench;
  GenerationRequest request = MakeRequest(10, 2);
  request.deadline = bench.clock().Now() + absl::Seconds(1);
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.clock().Advance(absl::Seconds(2));
  bench.engine().Step();
  bench.ExpectAnswer(request, *record, 0);
}

}  // namespace
}  // namespace intactkv
