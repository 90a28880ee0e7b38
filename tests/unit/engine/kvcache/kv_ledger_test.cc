#include "engine/kvcache/kv_ledger.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "engine/kvcache/kv_cache_manager.h"

namespace intactkv {
namespace {

TEST(KvLedgerTest, KeepsTheLastRecordsAndAllTotals) {
  KvLedger ledger(3);
  for (int i = 0; i < 5; ++i) {
    ledger.SetStep(i);
    ledger.Add({.event = LedgerEvent::kAllocate, .page_class = PageClass::kHot, .block = i});
  }
  EXPECT_EQ(ledger.num_records(), 5);
  EXPECT_EQ(ledger.first_kept(), 2);
  for (int i = 2; i < 5; ++i) {
    EXPECT_EQ(ledger.at(i).block, i);
    EXPECT_EQ(ledger.at(i).step, i);
  }
  EXPECT_EQ(ledger.total(LedgerEvent::kAllocate, PageClass::kHot), 5);
  EXPECT_EQ(ledger.total(LedgerEvent::kAllocate, PageClass::kStored), 0);
  EXPECT_DEATH(ledger.at(1), "not kept");
  EXPECT_DEATH(ledger.at(5), "not kept");
}

TEST(KvLedgerTest, SaysWhatHappenedInOneLine) {
  EXPECT_EQ(ToString({.event = LedgerEvent::kShare, .block = 3, .count = 2, .step = 12}),
            "step 12: stored block 3: share, owners 2");
  EXPECT_EQ(ToString({.event = LedgerEvent::kPreempt, .count = 4, .subject = 7}),
            "step 0: stored: preempt of sequence 7, blocks 4");
}

// Two sequences with the same 40 tokens, one after the other, in a pool that a third one needs.
class LedgerOfManagerTest : public ::testing::Test {
 protected:
  LedgerOfManagerTest() {
    stored_.SetLedger(&ledger_);
    hot_.SetLedger(&ledger_);
  }
  void Run(SequenceId id, int first_token, int num_tokens) {
    std::vector<TokenId> tokens;
    for (int i = 0; i < num_tokens; ++i) tokens.emplace_back(first_token + i);
    SequenceKv kv;
    kv.owner = id;
    ASSERT_TRUE(manager_.TryAdmit(kv, {.private_tokens = tokens}));
    ASSERT_TRUE(manager_.TryGrow(kv, BlocksFor(num_tokens)));
    manager_.Publish(kv, tokens, num_tokens);
    manager_.Release(kv);
  }
  std::vector<LedgerRecord> All(LedgerEvent event) const {
    std::vector<LedgerRecord> found;
    for (int64_t i = ledger_.first_kept(); i < ledger_.num_records(); ++i) {
      if (ledger_.at(i).event == event) found.push_back(ledger_.at(i));
    }
    return found;
  }

  KvLedger ledger_{1'000};
  BlockPool stored_{PageClass::kStored, 2, 1};
  BlockPool hot_{PageClass::kHot, 1, 1};
  KvCacheManager manager_{{.prefix_cache = true}, stored_, hot_};
};

TEST_F(LedgerOfManagerTest, EachStepOfABlocksLifeIsARecord) {
  Run(SequenceId(1), 0, 40);    // publishes block 0, frees block 1
  Run(SequenceId(2), 0, 40);    // hits block 0
  Run(SequenceId(3), 500, 40);  // needs both blocks: evicts block 0
  const auto published = All(LedgerEvent::kPublish);
  ASSERT_EQ(published.size(), 2u);
  EXPECT_EQ(published[0].subject, 1u);
  EXPECT_EQ(published[1].subject, 3u);
  const auto hits = All(LedgerEvent::kHit);
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_EQ(hits[0].subject, 2u);
  EXPECT_EQ(hits[0].block, published[0].block);
  const auto evicted = All(LedgerEvent::kEvict);
  ASSERT_EQ(evicted.size(), 1u);
  EXPECT_EQ(evicted[0].block, published[0].block);
  EXPECT_EQ(All(LedgerEvent::kAdmit).size(), 3u);
  for (const PageClass page_class : {PageClass::kStored, PageClass::kHot}) {
    const BlockPool& pool = page_class == PageClass::kStored ? stored_ : hot_;
    EXPECT_EQ(ledger_.total(LedgerEvent::kAllocate, page_class) -
                  ledger_.total(LedgerEvent::kFree, page_class),
              pool.num_blocks() - pool.num_free());
  }
}

TEST_F(LedgerOfManagerTest, WithoutALedgerNothingIsRecorded) {
  stored_.SetLedger(nullptr);
  hot_.SetLedger(nullptr);
  Run(SequenceId(1), 0, 40);
  EXPECT_EQ(ledger_.num_records(), 0);
}

}  // namespace
}  // namespace intactkv
