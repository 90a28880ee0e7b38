// The log probabilities of a prompt's own tokens are those of the model's logits, below c and
// above, and their bits do not depend on how the prompt was cut into steps, on preemption or on
// what else runs.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/ref/sample.h"
#include "tests/invariance/invariance_fixture.h"
#include "tests/invariance/workload.h"

namespace intactkv::test {
namespace {

::testing::AssertionResult SameScores(const Transcript& got, const Transcript& want) {
  if (got.scored.size() != want.scored.size() || want.scored.empty()) {
    return ::testing::AssertionFailure() << got.scored.size() << " of " << want.scored.size();
  }
  for (size_t i = 0; i < got.scored.size(); ++i) {
    const SampledToken& a = got.scored[i];
    const SampledToken& b = want.scored[i];
    const auto same_top = [](const TokenLogprob& x, const TokenLogprob& y) {
      return x.token == y.token && x.logprob == y.logprob;
    };
    if (a.token == b.token && a.logprob == b.logprob && std::ranges::equal(a.top, b.top, same_top))
      continue;
    return ::testing::AssertionFailure() << "token " << i + 1 << " of the prompt";
  }
  return ::testing::AssertionSuccess();
}

// How far a score may lie from the full-precision one, relative to it.
double LossOf(KvFormat format) {
  const std::string_view name = KvFormatName(format);
  if (name == "f32") return 1e-4;
  return name == "i8c" || name == "bf16" ? 0.05 : 0.5;
}

class PromptScoresTest : public InvarianceTest {
 protected:
  static Transcript RunScored(TinyServer& server, const std::vector<TokenId>& prompt,
                              int32_t max_new_tokens = 4) {
    const size_t request = server.SubmitScored(prompt, max_new_tokens);
    server.RunUntilIdle();
    return server.Answer(request);
  }
  // Each score is the log-softmax of the row in front of its token, and each row is there.
  static void ExpectScoresOfRows(const Transcript& answer) {
    ASSERT_EQ(answer.scored.size() + 1, answer.prompt.size());
    for (size_t i = 0; i < answer.scored.size(); ++i) {
      EXPECT_EQ(answer.scored[i].token, answer.prompt[i + 1]);
      const std::vector<float>& row = answer.rows.at(static_cast<int32_t>(i));
      const auto logprob = [&row](TokenId id) { return ref::Logprob(row, id.value); };
      EXPECT_NEAR(answer.scored[i].logprob, logprob(answer.scored[i].token), 1e-5) << i;
      ASSERT_EQ(answer.scored[i].top.size(), 2u);
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      EXPECT_EQ(answer.scored[i].top[0].token.value, best);
      EXPECT_NEAR(answer.scored[i].top[0].logprob, logprob(answer.scored[i].top[0].token), 1e-5);
    }
  }
  static std::vector<TokenId> Prompt() { return PromptAfter(Prefix(33), 33, 70); }
};

// With the file's own weights, pinned or not, it is the whole sequence's forward pass, but for what
// the stored format loses.
TEST_P(PromptScoresTest, WithFullWeightsTheyAreTheReferences) {
  double tolerance = 0;
  for (const KvFormat format : stored().layers) tolerance = std::max(tolerance, LossOf(format));
  const std::vector<double> want = TinyServer::Reference(Prompt());
  const size_t vocab = want.size() / Prompt().size();
  for (const bool pin : {false, true}) {
    SCOPED_TRACE(pin);
    ServerSpec spec = Spec();
    spec.weights = WeightFormat::kF32;
    spec.activations = ActivationFormat::kF32;
    TinyServer server(spec);
    if (pin) server.Pin(Prefix(33));
    const Transcript answer = RunScored(server, Prompt());
    EXPECT_EQ(answer.info.usage.pinned_tokens, pin ? 33 : 0);
    ExpectScoresOfRows(answer);
    for (size_t i = 0; i < answer.scored.size(); ++i) {
      std::vector<float> row(vocab);
      std::copy_n(want.begin() + static_cast<std::ptrdiff_t>(i * vocab), vocab, row.begin());
      const double reference = ref::Logprob(row, Prompt()[i + 1].value);
      EXPECT_NEAR(answer.scored[i].logprob, reference,
                  tolerance * std::max(1.0, std::fabs(reference)))
          << i;
    }
  }
}

TEST_P(PromptScoresTest, ChunksChangeNoBit) {
  const auto whole = Serve(Spec());
  whole->Pin(Prefix(33));
  const Transcript want = RunScored(*whole, Prompt());
  ExpectScoresOfRows(want);
  EXPECT_EQ(want.info.usage.pinned_tokens, 33);
  for (const auto& [chunk, scored] : {std::pair{7, 3}, {33, 32}, {64, 1}}) {
    if (is_slow() && chunk != 33) continue;
    SCOPED_TRACE(chunk);
    ServerSpec spec = Spec();
    spec.chunk = chunk;
    spec.max_scored_rows = scored;
    const auto server = Serve(spec);
    server->Pin(Prefix(33));
    const Transcript got = RunScored(*server, Prompt());
    EXPECT_TRUE(SameScores(got, want));
    EXPECT_TRUE(SameAnswer(got, want));
    EXPECT_GE(server->log().num_steps, 100 / std::min(chunk, scored));
  }
}

// Scoring takes nothing away from the answer: it is the one that a request without it gets.
TEST_P(PromptScoresTest, TheAnswerIsTheSameAsWithout) {
  const auto server = Serve(Spec());
  server->Pin(Prefix(33));
  const Transcript scored = RunScored(*server, Prompt());
  const Transcript plain = server->Run(Prompt(), 4);
  EXPECT_TRUE(plain.scored.empty());
  EXPECT_EQ(plain.rows.begin()->first, 33) << "rows below c are only for scores";
  EXPECT_TRUE(SameAnswer(plain, scored));
}

TEST_P(PromptScoresTest, LoadAndPreemptionChangeNoBit) {
  const auto alone = Serve(Spec());
  alone->Pin(Prefix(33));
  const Transcript want = RunScored(*alone, Prompt(), 40);
  ServerSpec spec = Spec();
  spec.num_stored_blocks = 6;
  spec.prefix_cache = true;
  spec.all_rows = false;
  spec.max_scored_rows = 11;
  const auto server = Serve(spec);
  server->Pin(Prefix(33));
  const size_t old = server->Submit(PromptAfter(Prefix(3), 0, 60), 120);
  const size_t young = server->SubmitScored(Prompt(), 40);
  server->RunUntilIdle();
  const Transcript got = server->Answer(young);
  EXPECT_GT(got.info.num_preemptions, 0);
  EXPECT_EQ(server->Answer(old).info.num_preemptions, 0);
  EXPECT_GT(server->log().max_batch, 1);
  EXPECT_TRUE(SameScores(got, want));
  EXPECT_EQ(got.generated, want.generated);
}

INSTANTIATE_INVARIANCE_TEST(PromptScoresTest);

}  // namespace
}  // namespace intactkv::test
