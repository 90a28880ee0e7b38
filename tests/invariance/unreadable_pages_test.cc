// I8 of quantization.md 3.10: what no row may read has no influence: freed private pages and hot
// slots, pages and lanes that are not written yet, and the part of a pin that a request does not
// share.
#include "tests/invariance/invariance_fixture.h"
#include "tests/invariance/page_poison.h"
#include "tests/invariance/workload.h"

namespace intactkv::test {
namespace {

class UnreadablePagesTest : public InvarianceTest {};

TEST_P(UnreadablePagesTest, FreedAndUnfilledPrivatePages) {
  const auto server = Serve(Spec());
  std::vector<Case> cases = Cases();
  if (is_slow()) std::erase_if(cases, [](const Case& one) { return one.is_long(); });
  PinPrefixes(*server, cases);
  // Leaves pages behind that were private.
  server->Run(PromptAfter(Prefix(3), 0, 200), 2);
  server->PoisonUnreadable();
  for (const Case& one : cases) server->Submit(one.Prompt(), one.max_new_tokens);
  int num_poisoned_in_flight = 0;
  while (server->Step()) {
    server->PoisonUnreadable();
    ++num_poisoned_in_flight;
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].prefix_length);
    EXPECT_TRUE(SameAnswer(server->Answer(i + 1), SoloAnswer(isa(), stored(), cases[i])));
  }
  EXPECT_GE(num_poisoned_in_flight, 8);
  EXPECT_EQ(server->log().max_batch, std::ssize(cases));
}

// The page that holds token c - 1, and all after it.
TEST_P(UnreadablePagesTest, TheRestOfAPartlyMatchedPin) {
  const auto server = Serve(Spec());
  PinPrefixes(*server, Cases());
  int num_tails = 0;
  for (const int32_t length : kPrefixLengths) {
    const std::vector<TokenId> prefix = Prefix(length);
    const auto whole = static_cast<size_t>(server->engine().Stats().requests_accepted);
    server->Run(PromptAfter(prefix, length, 1), 1);
    const std::vector<PageEntry> pin = server->Pages(whole).pinned;
    for (const int32_t c : {1, 2, 31, 32, 33, 511, 512, 513}) {
      if (c >= length) break;
      if (is_slow() && length > 512 && c != 512) continue;
      SCOPED_TRACE(std::to_string(c) + " of " + std::to_string(length));
      const std::vector<TokenId> prompt = PromptAfter(prefix, c, 34);
      const Transcript before = server->Run(prompt, 2);
      EXPECT_EQ(before.info.usage.pinned_tokens, c);
      std::vector<F32Page> original;
      for (const PageEntry entry : pin) original.emplace_back(server->pinned(), entry.slot());
      for (const Poison& poison : {Poison{}, Poison{.k = 1e30f, .v = 1e30f}}) {
        for (int32_t i = c / kPageTokens; i < std::ssize(pin); ++i) {
          const int32_t first_token = i == c / kPageTokens ? c % kPageTokens : 0;
          PoisonTail(server->pinned(), pin[static_cast<size_t>(i)].slot(), first_token, poison);
        }
        EXPECT_TRUE(SameAnswer(server->Run(prompt, 2), before));
      }
      for (size_t i = 0; i < pin.size(); ++i) original[i].Write(server->pinned(), pin[i].slot());
      ++num_tails;
    }
  }
  EXPECT_EQ(num_tails, 2 + 2 + 3 + 4 + 5 + (is_slow() ? 1 : 8));
}

// The poison itself: where a row does read, it shows.
TEST_P(UnreadablePagesTest, PoisonIsSeenWhereItMayBeRead) {
  const auto server = Serve(Spec());
  server->Pin(Prefix(3));
  const auto poison = [&](const SequenceLog& pages, PageClass page_class) {
    if (page_class == PageClass::kPinned) PoisonTail(server->pinned(), pages.pinned[0].slot(), 2);
    if (page_class == PageClass::kStored) PoisonPage(server->stored(), pages.stored[0].slot());
    if (page_class == PageClass::kHot) PoisonTail(server->hot(), pages.hot_slot, 7);
  };
  for (const PageClass page_class : {PageClass::kStored, PageClass::kHot, PageClass::kPinned}) {
    const size_t request = server->Submit(PromptAfter(Prefix(3), 3, 40), 4);
    server->Step();
    poison(server->Pages(request), page_class);
    server->RunUntilIdle();
    EXPECT_TRUE(absl::IsInternal(server->Answer(request).info.status));
    EXPECT_EQ(server->Answer(request).generated.size(), 1u);
  }
}

INSTANTIATE_INVARIANCE_TEST(UnreadablePagesTest);

}  // namespace
}  // namespace intactkv::test
