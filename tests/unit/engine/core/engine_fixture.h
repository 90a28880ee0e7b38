// An EngineCore over HashExecutors, stepped by hand, with sinks that record what they are told.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/engine_core.h"
#include "tests/support/hash_executor.h"
#include "tests/support/hash_oracle.h"

namespace intactkv {

struct Record {
  std::vector<std::vector<TokenId>> tokens;  // by choice
  std::vector<FinishReason> reasons;         // by choice, of the last event
  std::vector<SampledToken> prompt;          // with score_prompt: what was told of the prompt
  int num_finishes = 0;
  bool token_after_finish = false;
  bool destroyed = false;
  FinishInfo info;
};

class RecordingSink : public TokenSink {
 public:
  RecordingSink(std::shared_ptr<Record> record, int32_t n) : record_(std::move(record)) {
    record_->tokens.resize(static_cast<size_t>(n));
    record_->reasons.resize(static_cast<size_t>(n));
  }
  ~RecordingSink() override { record_->destroyed = true; }
  void OnTokens(std::vector<TokenEvent> events) override {
    if (record_->num_finishes > 0) record_->token_after_finish = true;
    EXPECT_FALSE(events.empty());
    for (const TokenEvent& event : events) {
      const auto choice = static_cast<size_t>(event.choice);
      if (event.of_prompt) {
        EXPECT_EQ(choice, 0u);
        EXPECT_TRUE(record_->tokens[0].empty()) << "the prompt's after the first generated one";
        record_->prompt.push_back(event.token);
        continue;
      }
      EXPECT_EQ(record_->reasons[choice], FinishReason::kNone) << "a token after the last one";
      record_->tokens[choice].push_back(event.token.token);
      record_->reasons[choice] = event.finish;
    }
  }
  void OnFinish(const FinishInfo& info) override {
    ++record_->num_finishes;
    record_->info = info;
  }

 private:
  std::shared_ptr<Record> record_;
};

inline std::vector<TokenId> MakeTokens(int count, int32_t first = 1) {
  std::vector<TokenId> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.emplace_back((first + i) % 1'000);
  return tokens;
}

// Prompt tokens first, first + 1, ...; greedy.
inline GenerationRequest MakeRequest(int prompt, int max_new_tokens, int32_t first = 1) {
  GenerationRequest request;
  request.prompt = MakeTokens(prompt, first);
  request.max_new_tokens = max_new_tokens;
  request.sampling.temperature = 0;
  return request;
}

inline EngineCoreOptions SmallOptions() {
  EngineCoreOptions options;
  options.model_identity = "hash";
  options.max_running = 4;
  options.max_tokens_per_step = 48;
  options.max_queue = 8;
  options.num_pinned_blocks = 8;
  options.num_stored_blocks = 32;
  options.block_bytes = {100, 10, 200};
  options.prefix_chunk_tokens = 7;
  options.log_requests = false;
  return options;
}

inline EngineCoreOptions OneAtATime() {
  EngineCoreOptions options = SmallOptions();
  options.max_running = 1;
  return options;
}

// Owns everything that one engine needs.
class Bench {
 public:
  explicit Bench(const EngineCoreOptions& options = SmallOptions())
      : options_(options), pinned_(std::make_shared<HashPages>(options.num_pinned_blocks)) {
    engine_ = std::make_unique<EngineCore>(
        options, EngineCoreParts{.executor = MakeExecutor(0),
                                 .full_precision = [this] { return MakeFullPrecision(); },
                                 .clock = &clock_,
                                 .rng = Rng(7)});
  }

  // An executor with weights `epoch`; the newest one is executor().
  std::unique_ptr<HashExecutor> MakeExecutor(uint64_t epoch) {
    HashExecutorOptions options;
    options.pinned = pinned_;
    options.stored = std::make_shared<HashPages>(options_.num_stored_blocks);
    options.num_hot_slots = options_.max_running;
    options.epoch = epoch;
    options.vocab_size = model_.vocab_size;
    auto executor = std::make_unique<HashExecutor>(options);
    newest_ = executor.get();
    return executor;
  }

  std::shared_ptr<Record> Submit(GenerationRequest request) {
    auto record = std::make_shared<Record>();
    auto sink = std::make_unique<RecordingSink>(record, request.n);
    auto handle = engine_->Submit(std::move(request), std::move(sink));
    EXPECT_TRUE(handle.ok()) << handle.status();
    if (handle.ok()) handles_.push_back(*std::move(handle));
    return record;
  }
  // A request that the engine may refuse at the door.
  absl::Status TrySubmit(GenerationRequest request, std::shared_ptr<Record> record = nullptr) {
    if (record == nullptr) record = std::make_shared<Record>();
    auto sink = std::make_unique<RecordingSink>(std::move(record), std::max(request.n, 1));
    auto handle = engine_->Submit(std::move(request), std::move(sink));
    if (!handle.ok()) return handle.status();
    handles_.push_back(*std::move(handle));
    return absl::OkStatus();
  }
  void StopNewest() { handles_.back().Stop(); }
  void CancelNewest() { handles_.back().Cancel(); }
  void Cancel(size_t index) { handles_.at(index).Cancel(); }  // in order of submission

  void RunUntilIdle(int max_steps = 10'000) {
    for (int i = 0; engine_->Step(); ++i) {
      ASSERT_LT(i, max_steps) << "the engine does not come to rest";
      clock_.Advance(absl::Milliseconds(1));
    }
  }

  void ExpectAuditClean() {
    const absl::StatusOr<AuditReport> report = engine_->Audit();
    ASSERT_TRUE(report.ok());
    for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
    for (const int32_t n : report->unaccounted) EXPECT_EQ(n, 0);
  }
  PageCounts Pages(PageClass cls) const { return engine_->Stats().pages[static_cast<size_t>(cls)]; }
  // Nothing runs: nothing may be owned by a sequence.
  void ExpectNothingOwned() {
    ExpectAuditClean();
    const absl::StatusOr<AuditReport> report = engine_->Audit();
    ASSERT_TRUE(report.ok());
    for (const PageCounts& pages : report->pages) EXPECT_EQ(pages.owned, 0);
  }

  // Exactly one OnFinish, OK, and every choice's tokens as the closed form says.
  void ExpectAnswer(const GenerationRequest& request, const Record& record, int32_t c) {
    EXPECT_EQ(record.num_finishes, 1);
    EXPECT_FALSE(record.token_after_finish);
    EXPECT_TRUE(record.info.status.ok()) << record.info.status;
    for (int32_t k = 0; k < request.n; ++k) {
      EXPECT_EQ(record.tokens[static_cast<size_t>(k)], OracleTokens(request, k, c, model_));
    }
    ExpectScores(request, record, c);
  }
  // Each token of the prompt after the first, once and in order, with its log probability; nothing
  // where that was not asked for.
  void ExpectScores(const GenerationRequest& request, const Record& record, int32_t c) {
    std::vector<float> scores;
    std::vector<TokenId> tokens = {request.prompt.front()};
    for (const SampledToken& token : record.prompt) {
      scores.push_back(token.logprob);
      tokens.push_back(token.token);
    }
    if (!request.score_prompt) {
      EXPECT_TRUE(scores.empty());
      return;
    }
    EXPECT_EQ(tokens, request.prompt);
    EXPECT_EQ(scores, OracleScores(request, c, model_));
  }

  EngineCore& engine() { return *engine_; }
  ManualClock& clock() { return clock_; }
  HashExecutor& executor() { return *newest_; }
  HashModel& model() { return model_; }
  int num_builds() const { return num_builds_; }
  void FailBuilds(int count) { fail_builds_ = count; }

 private:
  absl::StatusOr<std::unique_ptr<Executor>> MakeFullPrecision() {
    ++num_builds_;
    auto executor = std::make_unique<HashExecutor>(
        HashExecutor::FullPrecision(pinned_, engine_->epoch(), model_.vocab_size));
    if (fail_builds_ > 0) {
      --fail_builds_;
      executor->faults().non_finite.insert(SequenceId(0));
    }
    return executor;
  }

  const EngineCoreOptions options_;
  HashModel model_;
  ManualClock clock_;
  std::shared_ptr<HashPages> pinned_;
  HashExecutor* newest_ = nullptr;
  int num_builds_ = 0;
  int fail_builds_ = 0;
  std::unique_ptr<EngineCore> engine_;
  std::vector<RequestHandle> handles_;  // destroyed first: cancels what still runs
};

}  // namespace intactkv
