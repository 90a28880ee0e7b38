// A pinned prefix, matched whole, in part or not at all, changes no bit of an answer: the oracle
// builds a private pin of the same length for each request (decisions.md 4), or pins nothing.
#include <algorithm>

#include "tests/invariance/invariance_fixture.h"
#include "tests/invariance/workload.h"

namespace intactkv::test {
namespace {

class PinMatchTest : public InvarianceTest {
 protected:
  // The request on a server that reads the shared pin, and on one that does not.
  void ExpectSameWithOwnPin(TinyServer& shared, TinyServer& own, const std::vector<TokenId>& prompt,
                            int32_t c) {
    const Transcript got = shared.Run(prompt, 4);
    const Transcript want = own.Run(prompt, 4);
    EXPECT_TRUE(SameAnswer(got, want));
    for (const Transcript* answer : {&got, &want}) {
      EXPECT_EQ(answer->info.usage.pinned_tokens, c);
      EXPECT_EQ(answer->info.usage.cached_tokens, c);
      ASSERT_FALSE(answer->rows.empty());
      EXPECT_EQ(answer->rows.begin()->first, c) << "the first row that the serving model computes";
    }
    if (c == 0) return;
    const auto pages = [](const TinyServer& server) {
      return server.log().sequences.rbegin()->second.pinned;
    };
    EXPECT_NE(pages(shared), pages(own)) << "both read the same pages";
  }
};

// I1, I2 of quantization.md 3.10.
TEST_P(PinMatchTest, AWholePrefixReadsAsAPinOfItsOwn) {
  ServerSpec spec = Spec();
  spec.recompute_prefix = true;
  spec.build_chunk = 100;  // and each is built in other chunks than the shared pin
  const auto own = Serve(spec);
  PinPrefixes(*own, Cases());
  for (const Case& one : Cases()) {
    if (is_slow() && one.is_long()) continue;
    SCOPED_TRACE(one.prefix_length);
    const Transcript& got = SoloAnswer(isa(), stored(), one);
    const Transcript want = own->Run(one.Prompt(), one.max_new_tokens);
    EXPECT_TRUE(SameAnswer(got, want));
    EXPECT_EQ(got.info.usage.pinned_tokens, one.prefix_length);
    EXPECT_EQ(want.info.usage.pinned_tokens, one.prefix_length);
  }
  EXPECT_EQ(own->engine().AuditNow().pages[0].owned, 0) << "a private pin outlived its request";
}

// I4: causality makes a partial match lossless.
TEST_P(PinMatchTest, AStartOfAPrefixReadsAsAPinOfItsOwn) {
  ServerSpec spec = Spec();
  const auto shared = Serve(spec);
  spec.recompute_prefix = true;
  const auto own = Serve(spec);
  PinPrefixes(*shared, Cases());
  PinPrefixes(*own, Cases());
  int32_t num_matches = 0;
  for (const int32_t length : kPrefixLengths) {
    for (const int32_t c : {1, 2, 15, 16, 30, 31, 32, 33, 63, 64, 65, 511, 512, 513, 524}) {
      if (c >= length) break;
      if (is_slow() && length > 512 && c != 1 && c != 512) continue;
      SCOPED_TRACE(std::to_string(c) + " of " + std::to_string(length));
      ExpectSameWithOwnPin(*shared, *own, PromptAfter(Prefix(length), c, 34), c);
      ++num_matches;
    }
  }
  EXPECT_EQ(num_matches, 2 + 5 + 6 + 7 + 9 + (is_slow() ? 2 : 15));
}

// I5: the last token is always computed by the serving model.
TEST_P(PinMatchTest, APromptThatIsAPrefixOrAStartOfItUsesAllButItsLastToken) {
  ServerSpec spec = Spec();
  const auto shared = Serve(spec);
  spec.recompute_prefix = true;
  const auto own = Serve(spec);
  PinPrefixes(*shared, Cases());
  PinPrefixes(*own, Cases());
  for (const int32_t length : kPrefixLengths) {
    const std::vector<TokenId> prefix = Prefix(length);
    for (const int32_t fewer : {0, 1, 32}) {
      if (fewer >= length || (is_slow() && length > 512 && fewer > 0)) break;
      SCOPED_TRACE(std::to_string(length) + " - " + std::to_string(fewer));
      ExpectSameWithOwnPin(*shared, *own, {prefix.begin(), prefix.end() - fewer},
                           length - fewer - 1);
    }
    SCOPED_TRACE(std::to_string(length) + ", another first token");
    ExpectSameWithOwnPin(*shared, *own, PromptAfter(prefix, 0, 40), 0);
  }
}

INSTANTIATE_INVARIANCE_TEST(PinMatchTest);

// I1 in full precision, against no pin at all: one more merge of partial results changes last bits.
class FullPrecisionTest : public ::testing::TestWithParam<Isa> {};

TEST_P(FullPrecisionTest, APinChangesNoMoreThanRounding) {
  if (GetParam() > HostIsa()) GTEST_SKIP() << "this CPU lacks " << IsaName(GetParam());
  const ServerSpec spec = {
      .isa = GetParam(), .weights = WeightFormat::kF32, .activations = ActivationFormat::kF32};
  TinyServer pinned(spec), plain(spec);
  PinPrefixes(pinned, Cases());
  for (const Case& one : Cases()) {
    if (GetParam() == Isa::kScalar && one.is_long()) continue;
    SCOPED_TRACE(one.prefix_length);
    const Transcript got = pinned.Run(one.Prompt(), one.max_new_tokens);
    const Transcript want = plain.Run(one.Prompt(), one.max_new_tokens);
    EXPECT_EQ(got.info.usage.pinned_tokens, one.prefix_length);
    EXPECT_EQ(want.info.usage.pinned_tokens, 0);
    EXPECT_TRUE(NearAnswer(got, want, 1e-5));
    EXPECT_EQ(std::ssize(got.rows), one.num_private + one.max_new_tokens - 1);
  }
}

INSTANTIATE_TEST_SUITE_P(All, FullPrecisionTest,
                         ::testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& info) { return std::string(IsaName(info.param)); });

}  // namespace
}  // namespace intactkv::test
