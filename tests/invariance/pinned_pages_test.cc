// What lies in pinned pages (I3, I7 of quantization.md 3.10): the bytes of the full-precision path,
// not those of the serving weights; and that requests read them (I8).
#include <algorithm>
#include <cmath>

#include "tests/invariance/invariance_fixture.h"
#include "tests/invariance/page_poison.h"
#include "tests/invariance/workload.h"

namespace intactkv::test {
namespace {

constexpr int kSides = 2;  // K, V

class PinnedPagesTest : public InvarianceTest {
 protected:
  // Runs `tokens` as an ordinary prompt on a server without pins and returns its pages as a pin
  // would hold them: full pages are stored in F32, the last one is in the hot slot.
  std::vector<F32Page> PagesOfOrdinaryRequest(const ServerSpec& spec,
                                              const std::vector<TokenId>& tokens) const {
    TinyServer server(spec);
    const Transcript answer = server.Run(tokens, 1);
    EXPECT_TRUE(answer.info.status.ok());
    EXPECT_EQ(answer.info.usage.pinned_tokens, 0);
    const SequenceLog& log = server.Pages(0);
    const size_t num_full = tokens.size() / kPageTokens;
    std::vector<F32Page> pages;
    for (size_t i = 0; i < num_full; ++i) pages.emplace_back(server.stored(), log.stored[i].slot());
    if (tokens.size() % kPageTokens != 0) pages.emplace_back(server.hot(), log.hot_slot);
    return pages;
  }
  ServerSpec FullPrecision() const {
    return {.isa = isa(),
            .stored = kKvF32,
            .weights = WeightFormat::kF32,
            .activations = ActivationFormat::kF32,
            .chunk = 47,
            .all_rows = false};
  }
  ServerSpec ServingWeights() const { return {.isa = isa(), .stored = kKvF32, .all_rows = false}; }
};

std::vector<F32Page> PinnedPages(TinyServer& server, const SequenceLog& log) {
  std::vector<F32Page> pages;
  for (const PageEntry entry : log.pinned) pages.emplace_back(server.pinned(), entry.slot());
  return pages;
}

void WritePages(KvPool& pool, const std::vector<PageEntry>& entries,
                const std::vector<F32Page>& pages) {
  CHECK_EQ(entries.size(), pages.size());
  for (size_t i = 0; i < pages.size(); ++i) pages[i].Write(pool, entries[i].slot());
}

// How many of the first `num_tokens` tokens have the same K and V in both, over all layers, heads
// and sides.
int64_t NumEqualVectors(const std::vector<F32Page>& a, const std::vector<F32Page>& b,
                        int32_t num_tokens) {
  CHECK(BlocksFor(num_tokens) <= std::ssize(a) && BlocksFor(num_tokens) <= std::ssize(b));
  int64_t equal = 0;
  for (int32_t i = 0; i < num_tokens; ++i) {
    const F32Page& x = a[static_cast<size_t>(i / kPageTokens)];
    const F32Page& y = b[static_cast<size_t>(i / kPageTokens)];
    for (int layer = 0; layer < x.shape().num_layers; ++layer) {
      for (int side = 0; side < kSides * x.shape().num_kv_heads; ++side) {
        const int head = side / kSides, token = i % kPageTokens;
        equal += SameBits(x.Vector(layer, head, side % kSides, token),
                          y.Vector(layer, head, side % kSides, token))
                     ? 1
                     : 0;
      }
    }
  }
  return equal;
}

int64_t NumVectors(const KvShape& shape, int32_t num_tokens) {
  return int64_t{num_tokens} * shape.num_layers * shape.num_kv_heads * kSides;
}

// I3, and of I8 that those bytes are what is read: in the pin's place, the full-precision path's
// pages change nothing and those of the serving weights do.
TEST_P(PinnedPagesTest, HoldTheBytesOfTheFullPrecisionPathNotOfTheServingWeights) {
  ServerSpec spec = Spec();
  spec.build_chunk = 64;
  const auto server = Serve(spec);
  PinPrefixes(*server, Cases());
  for (const int32_t length : kPrefixLengths) {
    SCOPED_TRACE(length);
    const std::vector<TokenId> prefix = Prefix(length);
    const std::vector<TokenId> prompt = PromptAfter(prefix, length, 34);
    const auto first = static_cast<size_t>(server->engine().Stats().requests_accepted);
    const Transcript before = server->Run(prompt, 2);
    const SequenceLog& log = server->Pages(first);
    const std::vector<F32Page> pinned = PinnedPages(*server, log);
    const std::vector<F32Page> full_precision = PagesOfOrdinaryRequest(FullPrecision(), prefix);
    const std::vector<F32Page> serving = PagesOfOrdinaryRequest(ServingWeights(), prefix);
    ASSERT_EQ(std::ssize(pinned), BlocksFor(length));
    EXPECT_EQ(NumEqualVectors(pinned, full_precision, length),
              NumVectors(pinned[0].shape(), length));
    EXPECT_EQ(NumEqualVectors(pinned, serving, length), 0);
    for (int32_t token = length % kPageTokens; token % kPageTokens != 0; ++token) {
      const std::span<const float> tail = pinned.back().Vector(1, 1, 1, token);
      EXPECT_TRUE(std::ranges::all_of(tail, [](float x) { return x == 0; })) << "decisions.md 3.5";
    }

    WritePages(server->pinned(), log.pinned, serving);
    EXPECT_EQ(NumChangedPromptRows(server->Run(prompt, 2), before), 34);
    WritePages(server->pinned(), log.pinned, full_precision);
    EXPECT_TRUE(SameAnswer(server->Run(prompt, 2), before));
  }
}

// I7.
TEST_P(PinnedPagesTest, PrefixesWithACommonStartHoldTheSameBytesThere) {
  const std::vector<TokenId> first = Prefix(is_slow() ? 33 : 525);
  ServerSpec spec = Spec();
  spec.build_chunk = 96;  // built for real, each by itself
  for (const int32_t shared :
       is_slow() ? std::vector{1, 32} : std::vector{1, 31, 32, 33, 64, 512}) {
    SCOPED_TRACE(shared);
    const auto server = Serve(spec);
    const std::vector<TokenId> second = PromptAfter(first, shared, 40);
    server->Pin(first);
    server->Pin(second);
    // Each reads one of the two to its end, the last one their common start.
    const std::vector<TokenId> start(first.begin(), first.begin() + shared);
    for (const std::vector<TokenId>& prefix : {first, second}) {
      std::vector<TokenId> prompt = prefix;
      prompt.push_back(TokenId(9));
      const Transcript answer = server->Run(prompt, 1);
      EXPECT_EQ(answer.info.usage.pinned_tokens, std::ssize(prefix));
    }
    const std::vector<F32Page> a = PinnedPages(*server, server->Pages(0));
    const std::vector<F32Page> b = PinnedPages(*server, server->Pages(1));
    EXPECT_NE(server->Pages(0).pinned[0], server->Pages(1).pinned[0]);
    EXPECT_EQ(NumEqualVectors(a, b, shared), NumVectors(a[0].shape(), shared));
    EXPECT_LT(NumEqualVectors(a, b, shared + 1), NumVectors(a[0].shape(), shared + 1));

    // A request that shares no more than the start gets one answer, whichever pin it reads.
    const std::vector<TokenId> prompt = PromptAfter(start, shared, 34);
    const Transcript both = server->Run(prompt, 3);
    const auto alone = Serve(Spec());
    alone->Pin(second);
    const Transcript one = alone->Run(prompt, 3);
    EXPECT_TRUE(SameAnswer(both, one));
    EXPECT_GE(both.info.usage.pinned_tokens, shared);
    EXPECT_EQ(both.info.usage.pinned_tokens, one.info.usage.pinned_tokens);
  }
}

// Changes one element of position 0 of the pin; restores it at the end of its life.
class Perturbation {
 public:
  struct Where {
    int layer, head, side;
  };
  Perturbation(KvPool& pool, int32_t slot, const Where& where)
      : pool_(pool), slot_(slot), original_(pool, slot) {
    F32Page page = original_;
    const auto smaller = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
    const std::span<const float> v = page.Vector(where.layer, where.head, where.side, 0);
    const auto dim = static_cast<int>(std::ranges::max_element(v, smaller) - v.begin());
    page.At(where.layer, where.head, where.side, 0, dim) *= 1.25f;
    page.Write(pool_, slot_);
  }
  Perturbation(const Perturbation&) = delete;
  Perturbation& operator=(const Perturbation&) = delete;
  ~Perturbation() { original_.Write(pool_, slot_); }

 private:
  KvPool& pool_;
  const int32_t slot_;
  const F32Page original_;
};

// I8: what is pinned is what is read.
TEST_P(PinnedPagesTest, OneElementOfPositionZeroInAnyLayerAndHeadChangesLogits) {
  const auto server = Serve(Spec());
  PinPrefixes(*server, Cases());
  for (const int32_t length : kPrefixLengths) {
    const std::vector<TokenId> prompt = PromptAfter(Prefix(length), length, 34);
    const auto first = static_cast<size_t>(server->engine().Stats().requests_accepted);
    const Transcript before = server->Run(prompt, 2);
    const int32_t slot = server->Pages(first).pinned[0].slot();
    for (int layer = 0; layer < 2; ++layer) {
      for (int head = 0; head < 2; ++head) {
        for (int side = 0; side < kSides; ++side) {
          if (is_slow() && side != (layer + head) % kSides) continue;
          SCOPED_TRACE(std::to_string(length) + ": layer " + std::to_string(layer) + " head " +
                       std::to_string(head) + " side " + std::to_string(side));
          const Perturbation perturbation(server->pinned(), slot, {layer, head, side});
          EXPECT_GT(NumChangedPromptRows(server->Run(prompt, 2), before), 0);
        }
      }
    }
    SCOPED_TRACE(std::to_string(length) + ": all as it was");
    EXPECT_TRUE(SameAnswer(server->Run(prompt, 2), before));
  }
}

INSTANTIATE_INVARIANCE_TEST(PinnedPagesTest);

}  // namespace
}  // namespace intactkv::test
