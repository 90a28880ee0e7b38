// The store's version: who copies its list only when the version has changed is never behind.
#include "engine/core/pin_store.h"

#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

TEST(PinStoreTest, TheVersionChangesWithEachPinUnpinAndMatchAndWithNothingElse) {
  const EngineCoreOptions options = SmallOptions();
  const auto pages = std::make_shared<HashPages>(options.num_pinned_blocks);
  const HashExecutorOptions executor = HashExecutor::FullPrecision(pages, 0, 1'000);
  KvLedger ledger(64);
  PinStore store(options, [&] { return std::make_unique<HashExecutor>(executor); }, &ledger);
  const HashExecutor serving({.pinned = pages, .stored = std::make_shared<HashPages>(1)});
  uint64_t last = store.version();
  const auto changed = [&] { return std::exchange(last, store.version()) != store.version(); };

  const auto info =
      store.Pin({.name = "p", .tokens = MakeTokens(40), .owner = "somebody"}, serving);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_TRUE(changed());
  ASSERT_FALSE(store.Pin({.name = "q", .tokens = MakeTokens(900), .owner = ""}, serving).ok());
  EXPECT_FALSE(changed()) << "beyond the budget: nothing was pinned";
  EXPECT_EQ(store.List().size(), 1u);
  EXPECT_FALSE(changed());

  ASSERT_EQ(store.Match(MakeTokens(50), "somebody")->num_tokens, 40);
  EXPECT_TRUE(changed());
  EXPECT_EQ(store.List()[0].num_matches, 1);
  ASSERT_EQ(store.Match(MakeTokens(50), "another")->num_tokens, 0);
  ASSERT_EQ(store.Match(MakeTokens(50, 500), "somebody")->num_tokens, 0);
  EXPECT_FALSE(changed()) << "matches of nothing";

  EXPECT_FALSE(store.Unpin(PrefixId(77)).ok());
  EXPECT_FALSE(changed());
  EXPECT_TRUE(store.Unpin(info->id).ok());
  EXPECT_TRUE(changed());
  store.Clear();
  EXPECT_TRUE(changed());
}

}  // namespace
}  // namespace intactkv
