#include "kernels/cpu/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/base/rng.h"
#include "kernels/ref/sample.h"

namespace intactkv {
namespace {

using testing::ElementsAre;

std::vector<float> RandomLogits(size_t n, uint64_t seed, double spread = 6.0) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& v : out) v = static_cast<float>((rng.Unit() + rng.Unit() - 1.0) * spread);
  return out;
}

int32_t SampleOne(std::span<const float> logits, const SampleRow& row) {
  Sampler sampler(static_cast<int>(logits.size()));
  SampledToken out;
  sampler.Sample(logits, row, &out);
  return out.token.value;
}

SampleRow Row(SamplingParams params, int64_t index = 0) {
  SampleRow row;
  row.params = params;
  row.output_index = index;
  return row;
}

TEST(SamplerTest, GreedyTakesTheLowestIdOfTheLargest) {
  std::vector<float> logits(100, -1.0f);
  logits[70] = logits[33] = logits[99] = 5.0f;
  for (const float temperature : {0.0f, 0.0099f}) {
    EXPECT_EQ(SampleOne(logits, Row({.temperature = temperature, .seed = 3})), 33);
  }
  SampleRow row = Row({.temperature = 0.0f});
  row.forbidden = {TokenId(33)};
  EXPECT_EQ(SampleOne(logits, row), 70);
  const std::vector<uint32_t> allowed = {~0u, ~0u, 0u, 0xfu};  // ids 64..95 are out
  row.allowed = allowed.data();
  EXPECT_EQ(SampleOne(logits, row), 99);
  row.forbidden.push_back(TokenId(99));
  EXPECT_EQ(SampleOne(logits, row), 0);
  // At 0.01 the draw is real: three equal tokens, each taken by some seed.
  std::set<int32_t> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    seen.insert(SampleOne(logits, Row({.temperature = 0.01f, .seed = seed})));
  }
  EXPECT_EQ(seen, (std::set<int32_t>{33, 70, 99}));
}

TEST(SamplerTest, DrawsExactlyTheReferenceSets) {
  Rng rng(5);
  for (int trial = 0; trial < 400; ++trial) {
    const size_t n = 3 + rng.Below(400);
    std::vector<float> logits = RandomLogits(n, rng());
    // Ties at every rank now and then.
    if (trial % 4 == 0) {
      for (float& v : logits) v = std::round(v);
    }
    SampleRow row = Row({.temperature = static_cast<float>(0.2 + rng.Unit() * 2.0)});
    if (trial % 2 == 0) row.params.top_k = static_cast<int32_t>(1 + rng.Below(n + 3));
    if (trial % 3 != 0) row.params.top_p = static_cast<float>(0.05 + 0.95 * rng.Unit());
    if (trial % 5 < 2) row.params.min_p = static_cast<float>(rng.Unit() * 0.4);
    if (trial % 7 == 0) row.forbidden = {TokenId(static_cast<int32_t>(rng.Below(n)))};
    Sampler sampler(static_cast<int>(n));
    for (int64_t index = 0; index < 20; ++index) {
      row.output_index = index;
      row.params.seed = static_cast<uint64_t>(trial);
      SampledToken out;
      sampler.Sample(logits, row, &out);
      EXPECT_EQ(out.token.value, ref::Sample(logits, row)) << trial << " " << index;
    }
  }
}

std::vector<TokenId> RandomIds(Rng& rng, size_t count, size_t vocab) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < count; ++i) ids.emplace_back(static_cast<int32_t>(rng.Below(vocab)));
  return ids;
}

LogitEdits RandomEdits(Rng& rng, size_t vocab) {
  LogitEdits edits;
  for (size_t id = rng.Below(9); id < vocab && rng.Below(3) != 0; id += 1 + rng.Below(40)) {
    edits.bias.emplace_back(TokenId(static_cast<int32_t>(id)),
                            static_cast<float>(rng.Unit() * 20 - 10));
  }
  if (rng.Below(2) != 0) edits.frequency_penalty = static_cast<float>(rng.Unit() * 4 - 2);
  if (rng.Below(2) != 0) edits.presence_penalty = static_cast<float>(rng.Unit() * 4 - 2);
  if (rng.Below(2) != 0) edits.repetition_penalty = static_cast<float>(0.1 + rng.Unit() * 1.9);
  if (rng.Below(3) == 0) {
    for (size_t id = rng.Below(5); id < vocab; id += 1 + rng.Below(30)) {
      edits.allowed.emplace_back(static_cast<int32_t>(id));
    }
  }
  return edits;
}

TEST(SamplerTest, EditsLogitsAsTheReferenceDoes) {
  Rng rng(17);
  for (int trial = 0; trial < 300; ++trial) {
    const size_t n = 8 + rng.Below(300);
    const std::vector<float> logits = RandomLogits(n, rng());
    SampleRow row = Row({.temperature = trial % 2 == 0 ? 0.0f : 1.0f, .num_logprobs = 2});
    row.params.edits = std::make_shared<const LogitEdits>(RandomEdits(rng, n));
    const std::vector<TokenId> prompt = RandomIds(rng, rng.Below(60), n);
    const std::vector<TokenId> output = RandomIds(rng, rng.Below(60), n);
    if (row.params.edits->reads_history()) {
      row.prompt = prompt;
      row.output = output;
    }
    Sampler sampler(static_cast<int>(n));
    for (int64_t index = 0; index < 10; ++index) {
      row.output_index = index;
      SampledToken out;
      sampler.Sample(logits, row, &out);
      EXPECT_EQ(out.token.value, ref::Sample(logits, row)) << trial << " " << index;
      EXPECT_FLOAT_EQ(out.logprob, static_cast<float>(ref::Logprob(logits, out.token.value)))
          << "of the raw logits";
    }
    SampledToken plain;  // nothing of the history is left behind
    sampler.Sample(logits, Row({.temperature = 0.0f}), &plain);
    EXPECT_EQ(plain.token.value, ref::Sample(logits, Row({.temperature = 0.0f})));
  }
}

TEST(SamplerTest, EachEditDoesWhatItsNameSays) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.9f, -1.0f};
  const std::vector<TokenId> prompt = {TokenId(1)}, output = {TokenId(2), TokenId(2)};
  const auto greedy = [&](LogitEdits edits) {
    SampleRow row = Row({.temperature = 0.0f});
    row.params.edits = std::make_shared<const LogitEdits>(std::move(edits));
    row.prompt = prompt;
    row.output = output;
    return SampleOne(logits, row);
  };
  EXPECT_EQ(greedy({}), 1);
  EXPECT_EQ(greedy({.bias = {{TokenId(0), 2.1f}}}), 0);
  EXPECT_EQ(greedy({.bias = {{TokenId(1), -100.0f}}}), 2);
  EXPECT_EQ(greedy({.bias = {{TokenId(1), -1.0f}}, .frequency_penalty = 0.4f}), 2);  // 2.0, 2.1
  EXPECT_EQ(greedy({.bias = {{TokenId(1), -1.0f}}, .frequency_penalty = 0.5f}), 1);  // 2.0, 1.9
  EXPECT_EQ(greedy({.bias = {{TokenId(1), -0.6f}}, .presence_penalty = 0.4f}), 2);   // 2.4, 2.5
  EXPECT_EQ(greedy({.bias = {{TokenId(1), -0.6f}}, .presence_penalty = 0.6f}), 1);   // 2.4, 2.3
  EXPECT_EQ(greedy({.bias = {{TokenId(0), 0.6f}}, .repetition_penalty = 2.0f}), 0);  // 1.6, 1.5
  EXPECT_EQ(greedy({.bias = {{TokenId(0), 0.4f}}, .repetition_penalty = 2.0f}), 1);  // 1.4, 1.5
  EXPECT_EQ(greedy({.allowed = {TokenId(0), TokenId(3)}}), 0);
  EXPECT_EQ(greedy({.bias = {{TokenId(3), 3.0f}}, .allowed = {TokenId(0), TokenId(3)}}), 3);
}

TEST(SamplerTest, EveryTokenOfASmallNucleusIsDrawnAndNoOther) {
  std::vector<float> logits(64, -20.0f);
  for (size_t i = 0; i < 8; ++i) logits[i * 7] = -0.1f * static_cast<float>(i);
  const SampleRow base = Row({.temperature = 1.0f, .top_k = 5, .seed = 42});
  const std::vector<int32_t> survivors = ref::Survivors(logits, base);
  EXPECT_THAT(survivors, ElementsAre(0, 7, 14, 21, 28));
  std::set<int32_t> seen;
  for (int64_t index = 0; index < 2000; ++index) {
    seen.insert(SampleOne(logits, Row(base.params, index)));
  }
  EXPECT_EQ(seen, std::set<int32_t>(survivors.begin(), survivors.end()));
}

TEST(SamplerTest, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, -1.0f};
  constexpr int kDraws = 40000;
  std::vector<int> counts(4);
  Sampler sampler(4);
  for (int64_t index = 0; index < kDraws; ++index) {
    SampledToken out;
    sampler.Sample(logits, Row({.temperature = 0.7f, .seed = 9}, index), &out);
    ++counts[static_cast<size_t>(out.token.value)];
  }
  double total = 0.0;
  for (const float l : logits) total += std::exp(static_cast<double>(l) / 0.7);
  for (size_t i = 0; i < 4; ++i) {
    const double p = std::exp(static_cast<double>(logits[i]) / 0.7) / total;
    EXPECT_NEAR(counts[i] / static_cast<double>(kDraws), p, 5.0 * std::sqrt(p / kDraws));
  }
}

TEST(SamplerTest, TheDrawDependsOnSeedAndIndexAlone) {
  const std::vector<float> logits = RandomLogits(500, 77);
  Sampler used(500);
  std::vector<int32_t> first;
  for (int64_t index = 0; index < 50; ++index) {
    first.push_back(SampleOne(logits, Row({.seed = 8, .num_logprobs = -1}, index)));
  }
  for (int64_t index = 49; index >= 0; --index) {  // other order, other rows between, logprobs on
    SampledToken out;
    used.Sample(RandomLogits(500, 1), Row({.top_k = 3, .seed = 1}), &out);
    used.Sample(logits, Row({.seed = 8, .num_logprobs = 4}, index), &out);
    EXPECT_EQ(out.token.value, first[static_cast<size_t>(index)]);
  }
  EXPECT_GT(std::set<int32_t>(first.begin(), first.end()).size(), 10u);
}

TEST(SamplerTest, LogprobsAreOfTheRawLogits) {
  std::vector<float> logits = RandomLogits(1000, 78);
  logits[500] = logits[20] = 9.0f;  // a tie at the top
  logits[600] = 10.0f;
  SampleRow row = Row({.temperature = 0.0f, .num_logprobs = 5});
  row.forbidden = {TokenId(600)};  // never drawn, but part of the distribution
  Sampler sampler(1000);
  SampledToken out;
  sampler.Sample(logits, row, &out);
  EXPECT_EQ(out.token.value, 20);
  ASSERT_EQ(out.top.size(), 5u);
  EXPECT_EQ(out.top[0].token.value, 600);
  EXPECT_EQ(out.top[1].token.value, 20);
  EXPECT_EQ(out.top[2].token.value, 500);
  EXPECT_EQ(out.logprob, out.top[1].logprob);
  for (size_t i = 0; i < 5; ++i) {
    const double want = ref::Logprob(logits, out.top[i].token.value);
    EXPECT_NEAR(out.top[i].logprob, want, 1e-6 * std::fabs(want) + 1e-9);
    EXPECT_LE(out.top[i].logprob, out.top[i == 0 ? 0 : i - 1].logprob);
  }
  row.params.num_logprobs = 0;
  sampler.Sample(logits, row, &out);
  EXPECT_TRUE(out.top.empty());
  EXPECT_LT(out.logprob, 0.0f);
  row.params.num_logprobs = -1;
  sampler.Sample(logits, row, &out);
  EXPECT_EQ(out.logprob, 0.0f);
}

TEST(SamplerTest, NonFiniteLogitsNeverCrash) {
  const float nan = std::nanf("");
  std::vector<float> logits(40, nan);
  EXPECT_EQ(SampleOne(logits, Row({.temperature = 1.0f, .num_logprobs = 3})), 0);
  logits[7] = 1.0f;
  EXPECT_EQ(SampleOne(logits, Row({.temperature = 1.0f, .top_p = 0.5f, .num_logprobs = 3})), 7);
  logits[9] = HUGE_VALF;
  EXPECT_EQ(SampleOne(logits, Row({.temperature = 1.0f, .num_logprobs = 3})), 9);
  std::vector<float> low(40, -HUGE_VALF);
  EXPECT_EQ(SampleOne(low, Row({.temperature = 1.0f})), 0);
  low[5] = 0.0f;
  EXPECT_EQ(SampleOne(low, Row({.temperature = 1.0f})), 5);
}

TEST(SamplerTest, AScoredRowReportsItsTokenWhateverElseItCarries) {
  const std::vector<float> logits = RandomLogits(300, 79);
  Sampler sampler(300);
  SampleRow row = Row({.temperature = 1.5f, .num_logprobs = 3});
  row.forbidden = {TokenId(17)};
  for (const int32_t id : {0, 17, 299}) {
    row.scored = TokenId(id);
    SampledToken out;
    sampler.Sample(logits, row, &out);
    EXPECT_EQ(out.token.value, id);
    EXPECT_NEAR(out.logprob, ref::Logprob(logits, id), 1e-5);
    ASSERT_EQ(out.top.size(), 3u);
    EXPECT_EQ(out.top[0].token.value,
              std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
}

}  // namespace
}  // namespace intactkv
