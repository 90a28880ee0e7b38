#include "tests/invariance/loaded_run.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"

namespace intactkv::test {
namespace {

constexpr int32_t kWarmTokens = 40;    // of the request that leaves one page in the prefix cache
constexpr int32_t kHolderPrompt = 40;  // private tokens
constexpr int32_t kMaxSteps = 2'000;

int32_t CeilDiv(int32_t a, int32_t b) { return (a + b - 1) / b; }

// Who runs beside the observed request and how large the pool is. All others are older, so that
// each takes one row of a step before the observed request gets its chunk. The holder decodes from
// before the observed request to its end. The aggressor, in preempted cells only, needs a page
// while there is none, one token after the observed request has begun to decode, takes it, and ends
// with that step: the observed request comes back and computes one row more in a step.
struct Load {
  int32_t budget = 0;  // rows in a step, over all requests
  int32_t num_blocks = 0;
  int32_t holder_new = 0;
  int32_t aggressor_prompt = 0, aggressor_new = 0;
};

// Tokens of the holder that are computed when holder and aggressor have prefilled.
int32_t HolderTokensAtStart(const Load& load) {
  int32_t holder = 0, aggressor = 0;
  while (holder < kHolderPrompt || aggressor < load.aggressor_prompt) {
    int32_t rows = load.budget;
    const int32_t wanted = holder < kHolderPrompt ? kHolderPrompt - holder : 1;
    holder += std::min(wanted, rows);
    rows -= std::min(wanted, rows);
    aggressor += std::min(load.aggressor_prompt - aggressor, rows);
  }
  return holder;
}

int32_t PrefillSteps(const Cell& cell) {
  return CeilDiv(cell.num_private() - (cell.prefix_cache ? kPageTokens : 0), cell.chunk);
}

Load UndisturbedLoad(const Cell& cell, const Case& request) {
  Load load{.budget = cell.chunk + 1};
  const int32_t steps = PrefillSteps(cell) + request.max_new_tokens - 1;
  const int32_t holder_end = HolderTokensAtStart(load) + steps;
  load.holder_new = holder_end - kHolderPrompt + 1;
  const int32_t used =
      BlocksFor(holder_end) + BlocksFor(request.num_private + request.max_new_tokens - 1);
  load.num_blocks = used * 100 / cell.fill_percent;
  return load;
}

Load PreemptingLoad(const Cell& cell, const Case& request) {
  Load load{.budget = cell.chunk + 2};
  const int32_t steps = PrefillSteps(cell) + 1;  // before the one in which the pages are taken
  const int32_t observed_blocks = BlocksFor(request.num_private + 1);
  // What it gives back is room for all that holder and observed request grow afterwards, and in a
  // pool that shall be emptier, as much again as they have.
  int32_t aggressor_blocks = steps / kPageTokens + 3;
  if (cell.fill_percent < 100) aggressor_blocks += observed_blocks;
  load.aggressor_prompt = aggressor_blocks * kPageTokens - steps;
  load.aggressor_new = steps + 2;
  const int32_t holder_then = HolderTokensAtStart(load) + steps + 1;
  load.num_blocks = BlocksFor(holder_then) + aggressor_blocks + observed_blocks;
  const int32_t steps_again = CeilDiv(request.num_private + 2, cell.chunk + 1) + 1;
  load.holder_new = holder_then + steps_again - kHolderPrompt + 1;
  return load;
}

class LoadedRun {
 public:
  LoadedRun(const Cell& cell, Isa isa, int32_t seed)
      : cell_(cell),
        request_(cell.Request(seed)),
        load_(cell.preempted ? PreemptingLoad(cell, request_) : UndisturbedLoad(cell, request_)),
        server_({.isa = isa,
                 .stored = cell.stored,
                 .num_pinned_blocks = 2,
                 .num_stored_blocks = load_.num_blocks,
                 .max_running = 3,
                 .chunk = load_.budget,
                 .prefix_cache = cell.prefix_cache}),
        want_(SoloAnswer(isa, cell.stored, request_)) {}

  void Run() {
    server_.Pin(Prefix(request_.prefix_length));
    StartOthers();
    observed_ = server_.Submit(request_.Prompt(), request_.max_new_tokens);
    ObservePrefill();
    StepUntil([this] { return server_.IsFinished(observed_); });
    const Transcript got = server_.Answer(observed_);
    EXPECT_TRUE(SameAnswer(got, want_));
    ExpectCoordinates(got);
    ExpectFill();
  }

 private:
  template <typename Condition>
  void StepUntil(const Condition& reached) {
    for (int32_t i = 0; !reached(); ++i) {
      CHECK_LT(i, kMaxSteps) << "the load does not come about";
      server_.Step();
    }
  }

  int32_t NumComputed(size_t request) const {
    const auto it = server_.log().sequences.find(SequenceId(request));
    return it == server_.log().sequences.end() ? 0 : it->second.num_tokens;
  }

  void StartOthers() {
    const int32_t c = request_.prefix_length;
    if (cell_.prefix_cache) server_.Run(PromptAfter(Prefix(c), c, kWarmTokens), 1);
    holder_ = server_.Submit(PromptAfter(Prefix(64), 0, kHolderPrompt), load_.holder_new);
    if (cell_.preempted) {
      aggressor_ =
          server_.Submit(PromptAfter(Prefix(32), 0, load_.aggressor_prompt), load_.aggressor_new);
    }
    StepUntil([this] {
      return NumComputed(holder_) >= kHolderPrompt &&
             (!cell_.preempted || NumComputed(aggressor_) >= load_.aggressor_prompt);
    });
  }

  // Every chunk has the cell's length, but for the rest of the prompt.
  void ObservePrefill() {
    const int32_t end = request_.prefix_length + request_.num_private;
    int32_t computed = request_.prefix_length + (cell_.prefix_cache ? kPageTokens : 0);
    int32_t num_whole_chunks = 0;
    while (computed < end) {
      server_.Step();
      const int32_t rows = std::min(cell_.chunk, end - computed);
      ASSERT_EQ(NumComputed(observed_), computed + rows) << "another chunk than named";
      computed += rows;
      if (rows == cell_.chunk) ++num_whole_chunks;
    }
    EXPECT_EQ(num_whole_chunks > 0, cell_.chunk != kWholePrompt);
    EXPECT_EQ(server_.engine().Stats().preemptions, 0)
        << "preempted before its prompt was computed";
  }

  void ExpectCoordinates(const Transcript& got) {
    const RequestUsage& usage = got.info.usage;
    EXPECT_EQ((usage.prompt_tokens - usage.pinned_tokens) % kPageTokens, cell_.residue);
    EXPECT_EQ(usage.pinned_tokens, request_.prefix_length);
    EXPECT_EQ(usage.cached_tokens - usage.pinned_tokens, cell_.prefix_cache ? kPageTokens : 0);
    EXPECT_EQ(got.info.num_preemptions, cell_.preempted ? 1 : 0);
    EXPECT_EQ(server_.engine().Stats().preemptions, got.info.num_preemptions);
    EXPECT_EQ(server_.log().max_batch, cell_.preempted ? 3 : 2);
    // What was computed before and after the preemption is the same, too.
    EXPECT_EQ(server_.log().num_recomputed_rows > 0, cell_.preempted);
    EXPECT_EQ(server_.log().num_changed_rows, 0);
    EXPECT_EQ(std::ssize(got.rows),
              usage.prompt_tokens - usage.cached_tokens + request_.max_new_tokens - 1);
  }

  // In the last step, so that no page is counted that somebody has given back. The preemption of a
  // preempted cell needs a full pool whatever the fill: that one is of its second, final pass.
  void ExpectFill() const {
    const SequenceLog& holder = server_.Pages(holder_);
    const SequenceLog& observed = server_.Pages(observed_);
    EXPECT_EQ(holder.last_step, observed.last_step) << "the holder was gone before the end";
    const auto used = static_cast<int32_t>(holder.stored.size() + observed.stored.size());
    EXPECT_GT(std::ssize(holder.stored), 0);
    if (cell_.fill_percent < 100) {
      EXPECT_GE(used * 100, load_.num_blocks * cell_.fill_percent);
      EXPECT_LE(used * 100, load_.num_blocks * 75);
    } else if (!cell_.preempted) {
      EXPECT_EQ(used, load_.num_blocks);
    }
    // The holder may have got its page in the step that took the observed request's away.
    if (cell_.preempted) {
      EXPECT_GE(server_.stored_use().max_owned, load_.num_blocks - 1);
    }
  }

  const Cell cell_;
  const Case request_;
  const Load load_;
  TinyServer server_;
  const Transcript& want_;
  size_t holder_ = 0, aggressor_ = 0, observed_ = 0;
};

}  // namespace

void ExpectSoloUnderLoad(const Cell& cell, Isa isa, int32_t seed) {
  SCOPED_TRACE(CellName(cell, isa, seed));
  LoadedRun(cell, isa, seed).Run();
}

}  // namespace intactkv::test
