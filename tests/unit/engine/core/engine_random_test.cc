// Random load on tight pools: every answer equals the closed form, whatever else happens, and the
// rare paths that this claims to cover did occur.
#include <map>

#include "engine/base/rng.h"
#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

struct Tally {
  int64_t preemptions = 0, reserved = 0, cached = 0, evictions = 0, cancelled = 0, finished = 0,
          pinned = 0, split_pages = 0, choices = 0, stalls = 0, scored_pinned = 0,
          scored_preempted = 0;
  int max_batch = 0;
};

struct Expected {
  GenerationRequest request;
  int32_t c = 0;
  std::shared_ptr<Record> record;
};

class RandomLoad {
 public:
  explicit RandomLoad(uint64_t seed) : rng_(seed), bench_(RandomOptions(rng_)) {}

  void Run(Tally& tally) {
    const int num_pins = static_cast<int>(rng_.Below(3));
    for (int i = 0; i < num_pins; ++i) Pin();
    bench_.engine().MarkReady();
    for (int i = 0; i < 30; ++i) {
      if (rng_.Below(3) > 0) Submit();
      if (rng_.Below(12) == 0 && !expected_.empty()) bench_.CancelNewest();
      const auto steps = rng_.Below(6);
      for (uint64_t s = 0; s < steps; ++s) StepAndCheck();
    }
    bench_.RunUntilIdle();
    Verify(tally);
  }

 private:
  static EngineCoreOptions RandomOptions(Rng& rng) {
    EngineCoreOptions options = SmallOptions();
    options.max_running = 1 + static_cast<int32_t>(rng.Below(6));
    options.max_tokens_per_step = 1 + static_cast<int32_t>(rng.Below(100));
    options.max_scored_rows = 1 + static_cast<int32_t>(rng.Below(40));
    options.max_queue = 64;
    options.num_stored_blocks = 5 + static_cast<int32_t>(rng.Below(8));
    options.prefix_chunk_tokens = 1 + static_cast<int32_t>(rng.Below(70));
    options.prefix_cache = rng.Below(5) > 0;
    return options;
  }

  std::vector<TokenId> RandomPrompt() {
    // Few stems, so that prompts share starts of many lengths.
    const auto stem = static_cast<int32_t>(rng_.Below(3));
    std::vector<TokenId> tokens = MakeTokens(1 + static_cast<int>(rng_.Below(100)), stem * 200);
    const auto tail = rng_.Below(8);
    for (uint64_t i = 0; i < tail; ++i) {
      tokens.emplace_back(static_cast<int32_t>(rng_.Below(1'000)));
    }
    return tokens;
  }

  void Pin() {
    const std::vector<TokenId> tokens = RandomPrompt();
    const auto info = bench_.engine().Pin({.name = "p", .tokens = tokens, .owner = ""});
    if (info.ok()) pins_.push_back(tokens);
    EXPECT_TRUE(info.ok() || absl::IsResourceExhausted(info.status())) << info.status();
  }

  void Submit() {
    Expected expected;
    GenerationRequest& request = expected.request;
    request.prompt = RandomPrompt();
    request.max_new_tokens = 1 + static_cast<int32_t>(rng_.Below(50));
    request.min_new_tokens = static_cast<int32_t>(rng_.Below(2)) * request.max_new_tokens / 2;
    for (int i = 0; i < 10; ++i) {
      request.stop_token_ids.emplace_back(static_cast<int32_t>(rng_.Below(1'000)));
    }
    request.ignore_eos = rng_.Below(3) == 0;
    request.sampling.temperature = static_cast<float>(rng_.Below(2));
    request.sampling.seed = rng_();
    request.n = rng_.Below(4) == 0 ? 1 + static_cast<int32_t>(rng_.Below(4)) : 1;
    request.score_prompt = rng_.Below(4) == 0;
    if (request.score_prompt) request.sampling.num_logprobs = 0;
    request.cache_salt = rng_.Below(4) == 0 ? "salt" : "";
    expected.c = OracleMatch(request.prompt, pins_);
    expected.record = bench_.Submit(request);
    expected_.push_back(std::move(expected));
  }

  void StepAndCheck() {
    bench_.engine().Step();
    const AuditReport report = bench_.engine().AuditNow();
    for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
  }

  void Verify(Tally& tally) {
    for (const Expected& e : expected_) {
      ASSERT_EQ(e.record->num_finishes, 1);
      EXPECT_TRUE(e.record->destroyed);
      if (e.record->info.status.code() == absl::StatusCode::kCancelled) {
        ++tally.cancelled;
        continue;
      }
      if (e.record->info.status.code() == absl::StatusCode::kInvalidArgument)
        continue;  // too large
      bench_.ExpectAnswer(e.request, *e.record, e.c);
      EXPECT_EQ(e.record->info.usage.pinned_tokens, e.c);
      ++tally.finished;
      tally.pinned += e.c;
      tally.choices += e.request.n > 1 ? 1 : 0;
      const bool scored = e.request.score_prompt;
      tally.scored_pinned += scored ? e.c : 0;
      tally.scored_preempted += scored && e.record->info.num_preemptions > 0 ? 1 : 0;
    }
    bench_.ExpectNothingOwned();
    const EngineStats stats = bench_.engine().Stats();
    int64_t outcomes = 0;
    for (const int64_t n : stats.requests_finished) outcomes += n;
    EXPECT_EQ(outcomes, stats.requests_accepted);
    tally.preemptions += stats.preemptions;
    tally.cached += stats.prefix_hit_tokens;
    tally.evictions += stats.evicted_blocks;
    tally.reserved += bench_.engine().scheduler_counters().reserved_admissions;
    tally.stalls += bench_.engine().scheduler_counters().stalls;
    tally.split_pages += bench_.executor().num_split_pages();
    tally.max_batch = std::max(tally.max_batch, bench_.executor().max_batch());
  }

  Rng rng_;
  Bench bench_;
  std::vector<std::vector<TokenId>> pins_;
  std::vector<Expected> expected_;
};

TEST(EngineRandomTest, AnswersDoNotDependOnLoad) {
  Tally tally;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLoad(seed).Run(tally);
    if (HasFailure()) break;
  }
  RecordProperty("preemptions", std::to_string(tally.preemptions));
  RecordProperty("reserved", std::to_string(tally.reserved));
  RecordProperty("stalls", std::to_string(tally.stalls));
  RecordProperty("evictions", std::to_string(tally.evictions));
  EXPECT_GT(tally.preemptions, 100);
  EXPECT_GT(tally.reserved, 10);
  EXPECT_GT(tally.stalls, 10);
  EXPECT_GT(tally.cached, 1'000);
  EXPECT_GT(tally.evictions, 100);
  EXPECT_GT(tally.cancelled, 100);
  EXPECT_GT(tally.finished, 1'000);
  EXPECT_GT(tally.pinned, 1'000);
  EXPECT_GT(tally.choices, 100);
  EXPECT_GT(tally.scored_pinned, 1'000);
  EXPECT_GT(tally.scored_preempted, 10);
  EXPECT_GT(tally.split_pages, 1'000);
  EXPECT_GT(tally.max_batch, 3);
}

}  // namespace
}  // namespace intactkv
