// What the engine refuses: at the door (Submit returns an error, the sink hears nothing) or when it
// takes the request (OnFinish before any token). Each limit on both of its edges.
#include <limits>

#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

using absl::StatusCode;

TEST(EngineLimitsTest, TheQueueTakesMaxQueueRequestsAndNotOneMore) {
  Bench bench;  // max_queue 8, max_running 4
  std::vector<GenerationRequest> requests;
  std::vector<std::shared_ptr<Record>> records;
  const auto submit = [&] {
    requests.push_back(MakeRequest(3, 4, 10 * static_cast<int32_t>(requests.size())));
    records.push_back(bench.Submit(requests.back()));
  };
  for (int i = 0; i < 8; ++i) submit();
  auto refused = std::make_shared<Record>();
  EXPECT_EQ(bench.TrySubmit(MakeRequest(3, 4), refused).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(refused->destroyed);
  EXPECT_EQ(refused->num_finishes, 0) << "a refused request has no OnFinish";
  bench.engine().Step();  // admits four: so many places are free again
  ASSERT_EQ(bench.engine().Stats().running, 4);
  for (int i = 0; i < 4; ++i) submit();
  EXPECT_EQ(bench.TrySubmit(MakeRequest(3, 4)).code(), StatusCode::kResourceExhausted);
  bench.RunUntilIdle();
  for (size_t i = 0; i < requests.size(); ++i) bench.ExpectAnswer(requests[i], *records[i], 0);
  const EngineStats stats = bench.engine().Stats();
  EXPECT_EQ(stats.requests_accepted, 12);
  EXPECT_EQ(stats.requests_rejected, 2);
}

TEST(EngineLimitsTest, ACancelledRequestFreesItsPlaceInTheQueue) {
  EngineCoreOptions options = SmallOptions();
  options.max_queue = 1;
  Bench bench(options);
  (void)bench.Submit(MakeRequest(3, 4));
  bench.Cancel(0);
  EXPECT_EQ(bench.TrySubmit(MakeRequest(3, 4)).code(), StatusCode::kResourceExhausted);
  bench.engine().Step();
  EXPECT_TRUE(bench.TrySubmit(MakeRequest(3, 4)).ok());
}

TEST(EngineLimitsTest, ThePlaceOfARequestThatNeverFitsIsFreeAgain) {
  EngineCoreOptions options = SmallOptions();
  options.max_queue = 1;
  options.num_stored_blocks = 1;
  Bench bench(options);
  const auto record = bench.Submit(MakeRequest(40, 4));
  bench.engine().Step();
  EXPECT_EQ(record->info.status.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(bench.TrySubmit(MakeRequest(3, 4)).ok());
}

struct DoorCase {
  const char* name;
  GenerationRequest accepted;
  GenerationRequest refused;
};

GenerationRequest WithN(int32_t n) {
  GenerationRequest request = MakeRequest(3, 1);
  request.n = n;
  return request;
}
GenerationRequest WithMin(int32_t min_new_tokens) {
  GenerationRequest request = MakeRequest(3, 4);
  request.min_new_tokens = min_new_tokens;
  return request;
}
GenerationRequest WithToken(int32_t id) {
  GenerationRequest request = MakeRequest(3, 1);
  request.prompt.back() = TokenId(id);
  return request;
}

TEST(EngineLimitsTest, TheDoorChecksEveryFieldOnBothEdges) {
  EngineCoreOptions options = SmallOptions();
  options.max_model_len = 64;
  options.max_choices = 5;
  options.max_queue = 64;
  Bench bench(options);
  const std::vector<DoorCase> cases = {
      {"prompt", MakeRequest(1, 1), MakeRequest(0, 1)},
      {"lowest id", WithToken(0), WithToken(-1)},
      {"highest id", WithToken(999), WithToken(1'000)},
      {"max_new_tokens", MakeRequest(3, 1), MakeRequest(3, 0)},
      {"min_new_tokens below", WithMin(0), WithMin(-1)},
      {"min_new_tokens above", WithMin(4), WithMin(5)},
      {"n below", WithN(1), WithN(0)},
      {"n above", WithN(5), WithN(6)},
      {"context by the prompt", MakeRequest(63, 1), MakeRequest(64, 1)},
      {"context by the answer", MakeRequest(1, 63), MakeRequest(1, 64)},
      {"no overflow", MakeRequest(1, 2), MakeRequest(1, std::numeric_limits<int32_t>::max())},
  };
  int64_t rejected = 0;
  for (const DoorCase& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_TRUE(bench.TrySubmit(c.accepted).ok());
    auto record = std::make_shared<Record>();
    EXPECT_EQ(bench.TrySubmit(c.refused, record).code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(record->num_finishes, 0);
    EXPECT_EQ(bench.engine().Stats().requests_rejected, ++rejected);
  }
  bench.RunUntilIdle();
  EXPECT_EQ(bench.engine().Stats().requests_accepted, static_cast<int64_t>(cases.size()));
}

TEST(EngineLimitsTest, TheDoorChecksTheSamplingParameters) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kOver1 = 1.0f + std::numeric_limits<float>::epsilon();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  EngineCoreOptions options = SmallOptions();
  options.max_queue = 64;
  Bench bench(options);
  const auto submit = [&](const SamplingParams& sampling) {
    GenerationRequest request = MakeRequest(3, 1);
    request.sampling = sampling;
    return bench.TrySubmit(std::move(request)).code();
  };
  for (const SamplingParams& good : std::vector<SamplingParams>{{.temperature = 0},
                                                                {.temperature = 100},
                                                                {.top_k = 0},
                                                                {.top_k = 1 << 30},
                                                                {.top_p = kTiny},
                                                                {.top_p = 1},
                                                                {.min_p = 0},
                                                                {.min_p = 1},
                                                                {.num_logprobs = -1},
                                                                {.num_logprobs = 20}}) {
    EXPECT_EQ(submit(good), StatusCode::kOk);
  }
  const std::vector<SamplingParams> bad = {
      {.temperature = -kTiny}, {.temperature = kNan}, {.temperature = kInfinity},
      {.top_k = -1},           {.top_p = 0},          {.top_p = kOver1},
      {.top_p = kNan},         {.min_p = -kTiny},     {.min_p = kOver1},
      {.min_p = kNan},         {.num_logprobs = -2},  {.num_logprobs = 21}};
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(submit(bad[i]), StatusCode::kInvalidArgument) << i;
  }
  EXPECT_EQ(bench.engine().Stats().requests_rejected, static_cast<int64_t>(bad.size()));
  bench.RunUntilIdle();
}

TEST(EngineLimitsTest, TheDoorChecksTheLogitEdits) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Bench bench(SmallOptions());
  const TokenId last(bench.executor().vocab_size() - 1), beyond(bench.executor().vocab_size());
  const auto submit = [&](const LogitEdits& edits) {
    GenerationRequest request = MakeRequest(3, 1);
    request.sampling.edits = std::make_shared<const LogitEdits>(edits);
    const StatusCode code = bench.TrySubmit(std::move(request)).code();
    bench.RunUntilIdle();
    return code;
  };
  const auto with = [](auto LogitEdits::* field, auto value) {
    LogitEdits edits;
    edits.*field = value;
    return edits;
  };
  for (const auto field : {&LogitEdits::frequency_penalty, &LogitEdits::presence_penalty}) {
    for (const float good : {-2.0f, 2.0f}) EXPECT_EQ(submit(with(field, good)), StatusCode::kOk);
    for (const float bad : {-2.001f, 2.001f, kNan, kInfinity}) {
      EXPECT_EQ(submit(with(field, bad)), StatusCode::kInvalidArgument);
    }
  }
  EXPECT_EQ(submit(with(&LogitEdits::repetition_penalty, 2.0f)), StatusCode::kOk);
  for (const float bad : {0.0f, -1.0f, 2.001f, kNan}) {
    EXPECT_EQ(submit(with(&LogitEdits::repetition_penalty, bad)), StatusCode::kInvalidArgument);
  }
  using Bias = decltype(LogitEdits::bias);
  EXPECT_EQ(submit(with(&LogitEdits::bias, Bias{{TokenId(0), 1}, {last, -1}})), StatusCode::kOk);
  for (const Bias& bad : {Bias{{beyond, 1}}, Bias{{TokenId(-1), 1}}, Bias{{last, kNan}},
                          Bias{{last, 1}, {last, 1}}, Bias{{last, 1}, {TokenId(0), 1}}}) {
    EXPECT_EQ(submit(with(&LogitEdits::bias, bad)), StatusCode::kInvalidArgument);
  }
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(submit(with(&LogitEdits::allowed, Ids{TokenId(0), last})), StatusCode::kOk);
  for (const Ids& bad : {Ids{beyond}, Ids{TokenId(-1)}, Ids{last, last}, Ids{last, TokenId(0)}}) {
    EXPECT_EQ(submit(with(&LogitEdits::allowed, bad)), StatusCode::kInvalidArgument);
  }
  using Words = std::vector<Ids>;
  EXPECT_EQ(submit(with(&LogitEdits::bad_words, Words{{last, TokenId(0)}})), StatusCode::kOk);
  for (const Words& bad : {Words{{}}, Words{{last, beyond}}, Words{{TokenId(-1)}}}) {
    EXPECT_EQ(submit(with(&LogitEdits::bad_words, bad)), StatusCode::kInvalidArgument);
  }
}

TEST(EngineLimitsTest, AWorstCaseThatCanNeverFitIsRefusedAtOnce) {
  EngineCoreOptions options = SmallOptions();
  options.num_stored_blocks = 4;  // 128 written tokens; the last one is never written
  Bench bench(options);
  const GenerationRequest fits = MakeRequest(100, 29);
  const auto good = bench.Submit(fits);
  const auto bad = bench.Submit(MakeRequest(100, 30));
  bench.engine().Step();
  EXPECT_EQ(bad->num_finishes, 1);
  EXPECT_EQ(bad->info.status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(bad->info.usage.prompt_tokens, 100);
  EXPECT_TRUE(bad->tokens[0].empty());
  bench.RunUntilIdle();
  bench.ExpectAnswer(fits, *good, 0);
  EXPECT_EQ(bench.executor().num_rows(), 128) << "the refused one computed nothing";
  bench.ExpectNothingOwned();
}

TEST(EngineLimitsTest, PinnedTokensNeedNoRoomInThePool) {
  EngineCoreOptions options = SmallOptions();
  options.num_stored_blocks = 4;
  Bench bench(options);
  ASSERT_TRUE(bench.engine().Pin({.name = "p", .tokens = MakeTokens(40), .owner = ""}).ok());
  const GenerationRequest fits = MakeRequest(140, 29);  // 100 private tokens
  const auto good = bench.Submit(fits);
  const auto bad = bench.Submit(MakeRequest(140, 30));
  bench.RunUntilIdle();
  bench.ExpectAnswer(fits, *good, 40);
  EXPECT_EQ(bad->info.status.code(), StatusCode::kInvalidArgument);
  bench.ExpectNothingOwned();
}

// Each choice must fit alone; together they take turns.
TEST(EngineLimitsTest, ChoicesThatDoNotFitTogetherTakeTurns) {
  EngineCoreOptions options = SmallOptions();
  options.num_stored_blocks = 4;
  Bench bench(options);
  GenerationRequest request = MakeRequest(65, 60);
  request.n = 4;
  request.sampling.temperature = 1;
  const auto record = bench.Submit(request);
  bench.RunUntilIdle();
  bench.ExpectAnswer(request, *record, 0);
  EXPECT_GT(record->info.num_preemptions, 0);
  EXPECT_EQ(bench.engine().Stats().preemptions, record->info.num_preemptions);
  bench.ExpectNothingOwned();
}

}  // namespace
}  // namespace intactkv
