#include "server/request/completion_stream.h"

#include <gtest/gtest.h>

#include <deque>

#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

// An executor that the test turns by hand.
class HandExecutor {
 public:
  PostFn Poster() {
    return [this](std::function<void()> task) {
      MutexLock lock(&mutex_);
      tasks_.push_back(std::move(task));
      posted_.NotifyAll();
    };
  }
  void RunOne() {
    std::function<void()> task;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty()) posted_.Wait(&mutex_);
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }

 private:
  Mutex mutex_;
  CondVar posted_;
  std::deque<std::function<void()>> tasks_;
};

struct Answer {
  std::vector<std::string> text;
  std::vector<std::string> token_bytes;
  std::vector<FinishReason> finish;
  std::vector<std::string> pieces;     // of choice 0, as they came
  std::vector<std::string> prompt;     // by choice: its tokens' bytes
  std::vector<float> prompt_logprobs;  // of choice 0; 1 for the first token, which has none
  std::optional<RequestError> error;
  RequestUsage usage;
};

class CompletionStreamTest : public ::testing::Test {
 protected:
  std::shared_ptr<CompletionStream> Start(RawRequest raw) {
    raw.model = "m";
    if (!raw.prompt.has_value()) raw.prompt = "hi";
    const ServedModel model{.name = "m", .max_model_len = 1000, .vocab_size = kFakeVocabSize};
    const auto valid = ValidateRequest(std::move(raw), model);
    EXPECT_TRUE(valid.ok());
    auto built = BuildGeneration(valid.value(), codec_, model, absl::InfiniteFuture());
    EXPECT_TRUE(built.ok());
    n_ = built->n;
    auto stream = CompletionStream::Start({.engine = &engine_,
                                           .codec = &codec_,
                                           .post = executor_.Poster(),
                                           .on_ready = [this] { ++ready_; }},
                                          valid.value(), std::move(built).value());
    if (!stream.ok()) {
      start_error_ = stream.error();
      return nullptr;
    }
    return std::move(stream).value();
  }

  // Runs to the end; reads at each notice if `eager`, else only when all is over.
  Answer Finish(CompletionStream& stream, bool eager) {
    Answer answer;
    answer.text.resize(static_cast<size_t>(n_));
    answer.token_bytes.resize(static_cast<size_t>(n_));
    answer.prompt.resize(static_cast<size_t>(n_));
    answer.finish.resize(static_cast<size_t>(n_), FinishReason::kNone);
    bool done = false;
    if (!eager) {
      engine_.WaitForIdle();
      executor_.RunOne();
    }
    while (!done) {
      if (!stream.HasUpdate()) executor_.RunOne();
      const CompletionUpdate update = stream.Take(take_);
      for (const ChoiceDelta& delta : update.deltas) {
        const auto k = static_cast<size_t>(delta.choice);
        EXPECT_LE(delta.prompt_tokens.size() + delta.tokens.size(), static_cast<size_t>(take_));
        EXPECT_EQ(delta.prompt_begins, answer.prompt[k].empty() && !delta.prompt_tokens.empty());
        for (const SampledToken& token : delta.prompt_tokens) {
          const bool first = answer.prompt[k].empty();
          answer.prompt[k] += codec_.TokenBytes(token.token);
          if (k == 0) answer.prompt_logprobs.push_back(first ? 1.0f : token.logprob);
        }
        answer.text[k] += delta.text;
        if (k == 0) answer.pieces.push_back(delta.text);
        for (const SampledToken& token : delta.tokens) {
          answer.token_bytes[k] += codec_.TokenBytes(token.token);
        }
        if (delta.finish != FinishReason::kNone) answer.finish[k] = delta.finish;
      }
      done = update.done;
      if (done) {
        answer.error = update.error;
        answer.usage = update.usage;
      }
    }
    EXPECT_FALSE(stream.HasUpdate());
    return answer;
  }

  Answer Run(RawRequest raw, bool eager = true) {
    const auto stream = Start(std::move(raw));
    return Finish(*stream, eager);
  }

  FakeTextCodec codec_;
  HandExecutor executor_;
  FakeEngine engine_;
  int take_ = CompletionStream::kTokensPerTake;
  int32_t n_ = 1;
  int ready_ = 0;
  RequestError start_error_;
};

RawRequest Request(int64_t max_tokens = 100) {
  RawRequest raw;
  raw.max_tokens = max_tokens;
  return raw;
}

TEST_F(CompletionStreamTest, AnswersWithTextTokensAndUsage) {
  engine_.SetCached(2, 1);
  for (const bool eager : {true, false}) {
    const Answer answer = Run(Request(), eager);
    EXPECT_EQ(answer.text[0], "Hello, world!");
    EXPECT_EQ(answer.token_bytes[0], "Hello, world!<|end|>");
    EXPECT_EQ(answer.finish[0], FinishReason::kStop);
    EXPECT_FALSE(answer.error.has_value());
    EXPECT_EQ(answer.usage.prompt_tokens, 2);
    EXPECT_EQ(answer.usage.completion_tokens, 14);
    EXPECT_EQ(answer.usage.cached_tokens, 2);
    EXPECT_EQ(answer.usage.pinned_tokens, 1);
  }
}

TEST_F(CompletionStreamTest, LengthIsReportedAndAnOpenCharacterIsReplaced) {
  engine_.SetAnswer("caf\xC3\xA9");
  const Answer answer = Run(Request(4));
  EXPECT_EQ(answer.text[0], "caf\xEF\xBF\xBD");
  EXPECT_EQ(answer.finish[0], FinishReason::kLength);
  EXPECT_EQ(answer.usage.completion_tokens, 4);
}

TEST_F(CompletionStreamTest, NeverShowsHalfACharacter) {
  engine_.SetAnswer("\xF0\x9F\x98\x80 caf\xC3\xA9");
  take_ = 1;
  const Answer answer = Run(Request());
  EXPECT_EQ(answer.text[0], "\xF0\x9F\x98\x80 caf\xC3\xA9");
  for (const std::string& piece : answer.pieces) {
    if (piece.empty()) continue;
    EXPECT_NE(static_cast<unsigned char>(piece[0]) & 0xC0, 0x80);
    EXPECT_FALSE(piece.ends_with('\xF0') || piece.ends_with('\xC3')) << piece;
  }
}

TEST_F(CompletionStreamTest, AStopStringEndsTheRequestAtOnceAndUsageCountsUpToItsToken) {
  // The engine would go on for ever.
  engine_.SetScript(
      [](const GenerationRequest&, int, int index) { return TokenId("abcSTOPdef"[index % 10]); });
  RawRequest raw = Request(900);
  raw.stop = {"STOP"};
  const Answer answer = Run(raw);
  EXPECT_EQ(answer.text[0], "abc");
  EXPECT_EQ(answer.token_bytes[0], "abcSTOP");
  EXPECT_EQ(answer.finish[0], FinishReason::kStop);
  EXPECT_FALSE(answer.error.has_value());
  EXPECT_EQ(answer.usage.completion_tokens, 7);
  engine_.WaitForIdle();  // or this test hangs: nothing else ends the request
}

TEST_F(CompletionStreamTest, TheOverrunOfASlowReaderIsDiscarded) {
  engine_.SetAnswer("abcSTOPdefghi");
  RawRequest raw = Request();
  raw.stop = {"STOP"};
  const Answer answer = Run(raw, /*eager=*/false);
  EXPECT_EQ(answer.text[0], "abc");
  EXPECT_EQ(answer.usage.completion_tokens, 7);
  EXPECT_FALSE(answer.error.has_value());
}

TEST_F(CompletionStreamTest, AStopThatOnlyBeginsIsShownAtTheEnd) {
  engine_.SetAnswer("abcSTO");
  RawRequest raw = Request();
  raw.stop = {"STOP", "never"};
  const Answer answer = Run(raw);
  EXPECT_EQ(answer.text[0], "abcSTO");
  EXPECT_EQ(answer.token_bytes[0], "abcSTO<|end|>");
}

TEST_F(CompletionStreamTest, BeforeMinTokensAStopStringIsText) {
  engine_.SetAnswer("xSxSxS");
  RawRequest raw = Request();
  raw.stop = {"S"};
  raw.min_tokens = 3;
  EXPECT_EQ(Run(raw).text[0], "xSx");
}

TEST_F(CompletionStreamTest, AStopTokenIdHasNoText) {
  engine_.SetAnswer("abZcd");
  RawRequest raw = Request();
  raw.stop_token_ids = {'Z'};
  const Answer answer = Run(raw);
  EXPECT_EQ(answer.text[0], "ab");
  EXPECT_EQ(answer.usage.completion_tokens, 3);
}

TEST_F(CompletionStreamTest, ChoicesEndEachAtTheirOwnStop) {
  engine_.SetScript([](const GenerationRequest&, int choice, int index) {
    if (index == 3 + choice) return TokenId('#');
    return TokenId('a' + choice);
  });
  RawRequest raw = Request(50);
  raw.n = 3;
  raw.stop = {"#"};
  const Answer answer = Run(raw);
  EXPECT_EQ(answer.text, (std::vector<std::string>{"aaa", "bbbb", "ccccc"}));
  EXPECT_EQ(answer.usage.completion_tokens, 4 + 5 + 6);
  engine_.WaitForIdle();
}

TEST_F(CompletionStreamTest, AnErrorBeforeTheFirstTokenComesAlone) {
  engine_.SetFailure(InvalidArgument("can never fit"), 0);
  const Answer answer = Run(Request());
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_EQ(answer.error->http_status, 400);
  EXPECT_TRUE(answer.pieces.empty());
}

TEST_F(CompletionStreamTest, AnErrorAfterTokensComesAfterThem) {
  engine_.SetFailure(DeadlineExceeded("late"), 3);
  const Answer answer = Run(Request(), /*eager=*/false);
  EXPECT_EQ(answer.text[0], "Hel");
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_EQ(answer.error->http_status, 504);
  EXPECT_EQ(answer.usage.completion_tokens, 3);
}

TEST_F(CompletionStreamTest, AServerThatCancelsIsDraining) {
  engine_.SetFailure(Cancelled("drain"), 1);
  EXPECT_EQ(Run(Request()).error->code, "draining");
}

TEST_F(CompletionStreamTest, ARefusedSubmitStartsNothing) {
  engine_.SetSubmitStatus(ResourceExhausted("full"));
  EXPECT_EQ(Start(Request()), nullptr);
  EXPECT_EQ(start_error_.code, "queue_full");
  EXPECT_EQ(start_error_.http_status, 429);
  EXPECT_EQ(ready_, 0);
}

TEST_F(CompletionStreamTest, DestroyingItCancels) {
  engine_.AllowSteps(2);
  auto stream = Start(Request());
  executor_.RunOne();
  stream.reset();
  engine_.WaitForCancelled(1);
  engine_.WaitForIdle();
}

TEST_F(CompletionStreamTest, AfterCancelNothingIsReported) {
  engine_.AllowSteps(1);
  const auto stream = Start(Request());
  executor_.RunOne();
  const int before = ready_;
  stream->Cancel();
  engine_.WaitForCancelled(1);
  engine_.WaitForIdle();
  EXPECT_EQ(ready_, before);
}

TEST_F(CompletionStreamTest, ASlowReaderGetsEverythingInBoundedUpdates) {
  engine_.SetScript(
      [](const GenerationRequest&, int, int index) { return TokenId('a' + index % 26); });
  take_ = 5;
  const Answer answer = Run(Request(500), /*eager=*/false);
  EXPECT_EQ(answer.text[0].size(), 500u);
  EXPECT_EQ(answer.pieces.size(), 100u);
  EXPECT_EQ(answer.finish[0], FinishReason::kLength);
}

TEST_F(CompletionStreamTest, EchoShowsThePromptFirstToEachChoice) {
  RawRequest raw = Request();
  raw.prompt = "caf\xC3\xA9 STOP ";
  raw.echo = true;
  raw.n = 2;
  raw.stop = {"STOP", "world"};
  for (const bool eager : {true, false}) {
    const Answer answer = Run(raw, eager);
    for (const std::string& text : answer.text) EXPECT_EQ(text, "caf\xC3\xA9 STOP Hello, ");
    EXPECT_EQ(answer.prompt, (std::vector<std::string>{"", ""})) << "nobody asked for its tokens";
    EXPECT_EQ(answer.usage.completion_tokens, 2 * 12);
  }
}

TEST_F(CompletionStreamTest, EchoWithLogprobsHasThePromptsTokens) {
  RawRequest raw = Request();
  raw.prompt = "caf\xC3\xA9";
  raw.echo = true;
  raw.logprobs = true;
  raw.n = 2;
  for (const int take : {1, 3, 16}) {
    SCOPED_TRACE(take);
    take_ = take;
    const Answer answer = Run(raw, /*eager=*/take != 3);
    for (const std::string& text : answer.text) EXPECT_EQ(text, "caf\xC3\xA9Hello, world!");
    for (const std::string& prompt : answer.prompt) EXPECT_EQ(prompt, "caf\xC3\xA9");
    for (const std::string& bytes : answer.token_bytes) EXPECT_EQ(bytes, "Hello, world!<|end|>");
    EXPECT_EQ(answer.prompt_logprobs, (std::vector<float>{1.0f, -1.25f, -2.25f, -3.25f, -4.25f}));
  }
}

TEST_F(CompletionStreamTest, AnEchoOfNoTokensIsThePromptAlone) {
  for (const bool logprobs : {false, true}) {
    RawRequest raw = Request(0);
    raw.prompt = "p";
    raw.echo = true;
    raw.logprobs = logprobs;
    const Answer answer = Run(raw);
    EXPECT_EQ(answer.text[0], "p");
    EXPECT_EQ(answer.token_bytes[0], "");
    EXPECT_EQ(answer.prompt[0], logprobs ? "p" : "");
    EXPECT_EQ(answer.finish[0], FinishReason::kLength);
    EXPECT_FALSE(answer.error.has_value());
    EXPECT_EQ(answer.usage.completion_tokens, 0);
    engine_.WaitForIdle();
  }
}

TEST_F(CompletionStreamTest, AnErrorBeforeTheEchoComesAlone) {
  engine_.SetFailure(InvalidArgument("can never fit"), 0);
  RawRequest raw = Request();
  raw.echo = true;
  const Answer answer = Run(raw);
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_TRUE(answer.pieces.empty());
}

TEST_F(CompletionStreamTest, EchoedLogProbabilitiesAreBounded) {
  const ServedModel model{.name = "m", .max_model_len = 10'000, .vocab_size = kFakeVocabSize};
  for (const int64_t prompt : {1560, 1561}) {  // x (1 + 20) x 8 <= 2^18
    RawRequest raw = Request(1);
    raw.model = "m";
    raw.prompt = std::string(static_cast<size_t>(prompt), 'a');
    raw.echo = true;
    raw.logprobs = true;
    raw.top_logprobs = 20;
    raw.n = 8;
    const auto valid = ValidateRequest(std::move(raw), model);
    ASSERT_TRUE(valid.ok());
    const auto built = BuildGeneration(valid.value(), codec_, model, absl::InfiniteFuture());
    EXPECT_EQ(built.ok(), prompt == 1560);
    EXPECT_EQ(built.ok() ? "" : built.error().param, prompt == 1560 ? "" : "logprobs");
  }
}

}  // namespace
}  // namespace intactkv
