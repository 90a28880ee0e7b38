// I6 and I11 of quantization.md 3.10: an answer's bits depend on neither chunks, neighbours,
// threads, cache hits, preemption nor a full pool; and none of them touches a pinned page.
#include <algorithm>

#include "tests/invariance/invariance_fixture.h"
#include "tests/invariance/workload.h"

namespace intactkv::test {
namespace {

class LoadInvarianceTest : public InvarianceTest {
 protected:
  // Those that are quick enough for each kind of load.
  std::vector<Case> QuickCases() const {
    std::vector<Case> cases = Cases();
    if (is_slow()) std::erase_if(cases, [](const Case& one) { return one.is_long(); });
    return cases;
  }
  void ExpectSolo(const Transcript& got, const Case& request) const {
    SCOPED_TRACE(std::to_string(request.prefix_length) + " pinned, " +
                 std::to_string(request.num_private) + " private");
    EXPECT_TRUE(SameAnswer(got, SoloAnswer(isa(), stored(), request)));
    EXPECT_EQ(got.info.usage.pinned_tokens, request.prefix_length);
  }
};

TEST_P(LoadInvarianceTest, WhateverTheChunks) {
  const std::vector<int32_t> chunks =
      is_slow() ? std::vector{1, 7, 33} : std::vector{1, 7, 16, 31, 32, 33, 64, 512};
  for (const int32_t chunk : chunks) {
    SCOPED_TRACE("chunk " + std::to_string(chunk));
    ServerSpec spec = Spec();
    spec.chunk = chunk;
    spec.all_rows = chunk != 7;  // as planned by the scheduler, and widened
    const auto server = Serve(spec);
    PinPrefixes(*server, QuickCases());
    for (const Case& one : QuickCases()) {
      ExpectSolo(server->Run(one.Prompt(), one.max_new_tokens), one);
    }
    EXPECT_EQ(server->log().num_chunks_inside_page > 0, chunk % kPageTokens != 0);
  }
}

TEST_P(LoadInvarianceTest, InABatchOnTwoThreads) {
  ServerSpec spec = Spec();
  spec.num_threads = 2;
  spec.chunk = 100;
  const auto server = Serve(spec);
  PinPrefixes(*server, Cases());
  for (const Case& one : Cases()) server->Submit(one.Prompt(), one.max_new_tokens);
  server->RunUntilIdle();
  for (size_t i = 0; i < Cases().size(); ++i) ExpectSolo(server->Answer(i), Cases()[i]);
  EXPECT_EQ(server->backend().num_threads(), 2);
  EXPECT_EQ(server->log().max_batch, std::ssize(Cases()));
  EXPECT_GT(server->log().num_chunks_inside_page, 0);
}

TEST_P(LoadInvarianceTest, AfterACacheHit) {
  ServerSpec spec = Spec();
  const auto cold = Serve(spec);
  spec.prefix_cache = true;
  const auto warm = Serve(spec);
  PinPrefixes(*cold, QuickCases());
  PinPrefixes(*warm, QuickCases());
  int32_t num_decoded_blocks = 0;
  for (const Case& one : QuickCases()) {
    warm->Run(one.Prompt(), one.max_new_tokens);
    const Transcript again = warm->Run(one.Prompt(), one.max_new_tokens);
    ExpectSolo(again, one);
    const int32_t hits = (one.num_private - 1) / kPageTokens;
    EXPECT_GT(hits, 0);
    EXPECT_EQ(again.info.usage.cached_tokens, one.prefix_length + hits * kPageTokens);
    EXPECT_EQ(again.rows.begin()->first, again.info.usage.cached_tokens);

    // The next turn of the conversation: it finds pages that were filled token by token.
    std::vector<TokenId> next = one.Prompt();
    next.insert(next.end(), again.generated.begin(), again.generated.end());
    next.insert(next.end(), 3, TokenId(9));
    const Transcript turn = warm->Run(next, 4);
    EXPECT_TRUE(SameAnswer(turn, cold->Run(next, 4)));
    EXPECT_GE(turn.info.usage.cached_tokens, again.info.usage.cached_tokens);
    if (turn.info.usage.cached_tokens > one.prefix_length + one.num_private) ++num_decoded_blocks;
  }
  EXPECT_GT(num_decoded_blocks, 0);
}

// The same private tokens behind another pin, or behind none, have other keys and values.
TEST_P(LoadInvarianceTest, AfterPagesOfTheSameTokensBehindAnotherPin) {
  ServerSpec spec = Spec();
  const auto cold = Serve(spec);
  spec.prefix_cache = true;
  const auto warm = Serve(spec);
  PinPrefixes(*cold, Cases());
  PinPrefixes(*warm, Cases());
  const std::vector<TokenId> tail(40, TokenId(201));  // begins no prefix
  const auto run = [&](std::vector<TokenId> prompt, int32_t c) {
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    const Transcript first = warm->Run(prompt, 2);
    EXPECT_EQ(first.info.usage.cached_tokens, c) << "a hit on pages behind another pin";
    const Transcript second = warm->Run(prompt, 2);
    EXPECT_EQ(second.info.usage.cached_tokens, c + kPageTokens);
    const Transcript want = cold->Run(prompt, 2);
    EXPECT_TRUE(SameAnswer(first, want)) << c;
    EXPECT_TRUE(SameAnswer(second, want)) << c;
  };
  run({}, 0);
  for (const int32_t length : kPrefixLengths) run(Prefix(length), length);
}

TEST_P(LoadInvarianceTest, AfterPreemption) {
  constexpr int32_t kOlderPrompt = 30, kOlderNew = 40;
  const std::vector<TokenId> older_prompt = PromptAfter(Prefix(64), 0, kOlderPrompt);
  const Transcript older_alone = Serve(Spec())->Run(older_prompt, kOlderNew);
  for (const Case& one : QuickCases()) {
    // Both prompts fill the pool. Soon the older request needs a second page and takes it.
    ServerSpec spec = Spec();
    spec.num_stored_blocks = 1 + BlocksFor(one.num_private);
    const auto server = Serve(spec);
    PinPrefixes(*server, {one});
    const size_t older = server->Submit(older_prompt, kOlderNew);
    const size_t younger = server->Submit(one.Prompt(), one.max_new_tokens);
    server->RunUntilIdle();
    ExpectSolo(server->Answer(younger), one);
    EXPECT_TRUE(SameAnswer(server->Answer(older), older_alone));
    EXPECT_EQ(server->Answer(younger).info.num_preemptions, 1);
    EXPECT_EQ(server->Answer(older).info.num_preemptions, 0);
    EXPECT_EQ(server->engine().Stats().preemptions, 1);
    EXPECT_GE(server->log().num_recomputed_rows, one.num_private);
    EXPECT_EQ(server->log().num_changed_rows, 0);
    EXPECT_EQ(server->log().max_batch, 2);
    EXPECT_EQ(server->stored_use().max_owned, spec.num_stored_blocks);
  }
}

// I11, and of I3 that load leaves the pins' bytes alone.
TEST_P(LoadInvarianceTest, OnAFullPoolThatEvictsAndPreempts) {
  std::vector<Case> cases = QuickCases();
  std::erase_if(cases, [](const Case& one) { return one.is_long(); });
  ServerSpec spec = Spec();
  spec.prefix_cache = true;
  spec.num_stored_blocks = 6;
  spec.chunk = 50;
  const auto server = Serve(spec);
  PinPrefixes(*server, cases);
  const std::vector<PrefixInfo> pins = server->engine().ListPrefixes();
  const AuditReport before = server->engine().AuditNow();
  const int num_waves = is_slow() ? 1 : 3;
  std::vector<std::pair<size_t, Case>> requests;
  for (int wave = 0; wave < num_waves; ++wave) {
    for (const Case& one : cases) {  // the second finds pages of the first, if they are still there
      requests.emplace_back(server->Submit(one.Prompt(), one.max_new_tokens), one);
      requests.emplace_back(server->Submit(one.Prompt(), one.max_new_tokens), one);
    }
    server->RunUntilIdle();
  }
  int64_t num_hit_tokens = 0;
  for (const auto& [request, one] : requests) {
    const Transcript answer = server->Answer(request);
    ExpectSolo(answer, one);
    num_hit_tokens += answer.info.usage.cached_tokens - answer.info.usage.pinned_tokens;
  }
  const EngineStats stats = server->engine().Stats();
  EXPECT_EQ(server->stored_use().max_used, spec.num_stored_blocks);
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_GT(stats.evicted_blocks, 0);
  EXPECT_GT(num_hit_tokens, 0);
  EXPECT_GT(server->log().max_batch, 1);
  EXPECT_GT(server->log().num_chunks_inside_page, 0);
  EXPECT_EQ(server->log().num_changed_rows, 0);

  const AuditReport after = server->engine().AuditNow();
  EXPECT_TRUE(after.problems.empty());
  for (const PageCounts& pages : after.pages) EXPECT_EQ(pages.owned, 0);
  EXPECT_EQ(after.pages[0].pinned, before.pages[0].pinned);
  EXPECT_EQ(after.pages[0].free, before.pages[0].free);
  EXPECT_EQ(after.pages[2].free, before.pages[2].free);
  ASSERT_EQ(pins.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const SequenceLog& last = server->Pages(requests[2 * i].first);
    EXPECT_EQ(server->Checksum(last.pinned), pins[i].checksum) << cases[i].prefix_length;
    EXPECT_EQ(std::ssize(last.pinned), pins[i].num_blocks);
  }
}

INSTANTIATE_INVARIANCE_TEST(LoadInvarianceTest);

}  // namespace
}  // namespace intactkv::test
