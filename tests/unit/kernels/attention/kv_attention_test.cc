// KvAttention: what it refuses, what it reports, what it writes.
#include "kernels/cpu/kv_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "kernels/quant/page_pack.h"
#include "tests/unit/kernels/attention/attention_rig.h"

namespace intactkv {
namespace {

std::unique_ptr<KvPool> Pool(KvFormat format, int head_dim = 64) {
  return std::move(MakeCpuKvPool(MakeClassLayout({2, 1, head_dim}, format), 4)).value();
}

class KvAttentionCreateTest : public testing::Test {
 protected:
  KvAttentionCreateTest() {
    options_.shape.num_layers = 2;
    options_.shape.num_kv_heads = 1;
    options_.shape.num_q_heads = 3;
    options_.shape.head_dim = 64;
    options_.kv = {pinned_.get(), stored_.get(), hot_.get()};
  }
  absl::StatusCode Code() {
    return KvAttention::Create(options_, Isa::kScalar, &pool_).status().code();
  }

  std::unique_ptr<KvPool> pinned_ = Pool(kKvF16), stored_ = Pool(kKvI8C), hot_ = Pool(kKvF32);
  ContextOptions options_;
  ThreadPool pool_{1};
};

TEST_F(KvAttentionCreateTest, TakesWhatItHasKernelsFor) {
  EXPECT_EQ(Code(), absl::StatusCode::kOk);
  options_.kv.pinned = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kOk);
  options_.kv.stored = pinned_.get();
  EXPECT_EQ(Code(), absl::StatusCode::kOk);
}

TEST_F(KvAttentionCreateTest, RefusesOtherShapesAndFormats) {
  const auto fails = [&](auto change, absl::StatusCode code) {
    const ContextOptions before = options_;
    change();
    EXPECT_EQ(Code(), code);
    options_ = before;
  };
  for (const int head_dim : {48, 80, 112}) {
    fails([&] { options_.shape.head_dim = head_dim; }, absl::StatusCode::kUnimplemented);
  }
  fails([&] { options_.shape.head_dim = 288; }, absl::StatusCode::kUnimplemented);
  fails([&] { options_.shape.head_dim = 128; }, absl::StatusCode::kInvalidArgument);
  fails([&] { options_.shape.num_layers = 3; }, absl::StatusCode::kInvalidArgument);
  fails([&] { options_.shape.num_q_heads = 0; }, absl::StatusCode::kInvalidArgument);
  fails([&] { options_.kv.stored = nullptr; }, absl::StatusCode::kInvalidArgument);
  fails([&] { options_.kv.hot = nullptr; }, absl::StatusCode::kInvalidArgument);
  fails([&] { options_.kv.hot = pinned_.get(); }, absl::StatusCode::kUnimplemented);
  fails([&] { options_.kv.pinned = stored_.get(); }, absl::StatusCode::kUnimplemented);
  fails([&] { options_.max_rows = 0; }, absl::StatusCode::kInvalidArgument);
  const auto mixed = Pool({SideFormat::kI4, SideFormat::kI8});
  fails([&] { options_.kv.stored = mixed.get(); }, absl::StatusCode::kUnimplemented);
}

TEST_F(KvAttentionCreateTest, NamesItsKernels) {
  const std::vector<KernelChoice> kernels = KvAttention::Kernels(options_, Isa::kScalar);
  ASSERT_EQ(kernels.size(), 4u);
  EXPECT_EQ(kernels[0].operation, "attention pinned f16");
  EXPECT_EQ(kernels[0].kernel, "attn_f16_d64__scalar");
  EXPECT_EQ(kernels[1].operation, "attention stored i8c");
  EXPECT_EQ(kernels[1].kernel, "attn_i8c_d64__scalar");
  EXPECT_EQ(kernels[2].operation, "attention own f32");
  EXPECT_EQ(kernels[3].operation, "page quantize");
#if defined(__x86_64__)
  EXPECT_EQ(KvAttention::Kernels(options_, Isa::kAvx512)[1].kernel, "attn_i8c_d64__avx512vnni");
  EXPECT_EQ(KvAttention::Kernels(options_, Isa::kAvx2)[2].kernel, "attn_f32_d64__avx2");
#endif
}

TEST_F(KvAttentionCreateTest, NamesTheKernelOfEachFormatOfATable) {
  const KvFormat table[] = {kKvK8V4, kKvBF16};
  const auto stored = std::move(MakeCpuKvPool(MakeClassLayout({2, 1, 64}, table), 4)).value();
  options_.kv.stored = stored.get();
  EXPECT_EQ(Code(), absl::StatusCode::kOk);
  const std::vector<KernelChoice> kernels = KvAttention::Kernels(options_, Isa::kScalar);
  ASSERT_EQ(kernels.size(), 5u);
  EXPECT_EQ(kernels[1].kernel, "attn_k8v4_d64__scalar");
  EXPECT_EQ(kernels[2].operation, "attention stored bf16");
  EXPECT_EQ(kernels[2].kernel, "attn_bf16_d64__scalar");
}

TEST(KvAttentionTest, ReportsNonFiniteKeysAndValuesOfTheirSequenceOnly) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::pair<float, float> factors[] = {
      {kInfinity, 1.0f}, {std::nanf(""), 1.0f}, {1.0f, kInfinity}, {1.0f, std::nanf("")}};
  for (const auto& [k_factor, v_factor] : factors) {
    AttentionRig rig({.pinned_tokens = {0, 0}});
    rig.Step({{0, 3}, {1, 40}});
    EXPECT_FALSE(rig.health()[0].non_finite || rig.health()[1].non_finite);
    rig.ScaleKv(1, k_factor, v_factor);
    rig.Step({{0, 3}, {1, 1}});
    ASSERT_EQ(rig.health().size(), 2u);
    EXPECT_FALSE(rig.health()[0].non_finite);
    EXPECT_TRUE(rig.health()[1].non_finite);
    rig.Step({{0, 3}});
    EXPECT_FALSE(rig.health()[0].non_finite);  // a new batch starts clean
  }
}

TEST(KvAttentionTest, CountsClampedValuesWhenTheirPageIsPromoted) {
  for (const KvFormat stored : {kKvF32, kKvF16, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
    AttentionRig rig({.num_layers = 2, .stored = stored});
    rig.Run({31});
    rig.ScaleKv(0, 1e12f);
    rig.Run({1});
    const int64_t all = 2 * 2 * 64;  // layers, K and V, dims of the one token
    EXPECT_EQ(rig.health()[0].num_clamped, stored == kKvF32 || stored == kKvBF16 ? 0 : all)
        << KvFormatName(stored);
    EXPECT_FALSE(rig.health()[0].non_finite);
    rig.Run({1});
    EXPECT_EQ(rig.health()[0].num_clamped, 0);
  }
}

TEST(KvAttentionTest, AStoredPageIsWrittenOnceAndPinnedPagesNever) {
  AttentionRig rig({.isa = HostIsa(), .num_layers = 2, .kv_heads = 2, .pinned_tokens = {45}});
  const std::vector<std::byte> pinned(rig.pinned().PageData(0),
                                      rig.pinned().PageData(0) + rig.pinned().bytes());
  rig.Run({40});
  const std::vector<std::byte> once(rig.stored().PageData(0),
                                    rig.stored().PageData(0) + rig.stored().bytes());
  rig.Run({1, 5, 17});  // up to the last lane of page 1, which is not full yet
  EXPECT_EQ(std::memcmp(once.data(), rig.stored().PageData(0), once.size()), 0);
  rig.Run({1});
  EXPECT_NE(std::memcmp(once.data(), rig.stored().PageData(0), once.size()), 0);
  rig.Peek(0, 3, 40);
  EXPECT_EQ(std::memcmp(pinned.data(), rig.pinned().PageData(0), pinned.size()), 0);
}

// A prefix is built as an ordinary request whose stored pool is the pin's (decisions.md 3.5).
TEST(KvAttentionTest, PromotesAnUnfinishedPageAtTheEndOfAPrefix) {
  for (const KvFormat format : {kKvF32, kKvF16, kKvBF16}) {
    AttentionRig whole({.stored = format});
    AttentionRig rig({.stored = format});
    whole.Run({64});
    rig.Run({32});
    Batch batch;
    const int entry = rig.stored().num_pages() - 1;  // as the rig numbers page 0
    batch.stored_entries = {{PageClass::kStored, entry}, {PageClass::kStored, entry - 1}};
    batch.sequences.push_back(
        {.num_rows = 9, .first_position = 32, .num_stored = 2, .hot_slot = 0});
    batch.promotions.push_back({.page = 1, .num_valid = 9});
    batch.tokens.resize(9);
    for (int i = 0; i < 9; ++i) batch.positions.push_back(32 + i);
    ASSERT_TRUE(rig.attention().Begin(batch).ok());
    std::vector<float> rows(9 * 64, 1.5f);
    std::vector<float> out(rows.size());
    rig.attention().Append(0, rows.data(), rows.data());
    rig.attention().Attend(0, rows.data(), out.data());
    std::vector<std::byte> canonical(CanonicalPageBytes(rig.stored().layout()));
    rig.stored().ExportPage(entry - 1, canonical);
    RefKv kv;
    RefAppendSlice(format, 64, canonical, kPageTokens, kv);
    for (size_t i = 0; i < kv.k.size(); ++i) {
      EXPECT_EQ(kv.k[i], i < 9 * 64 ? 1.5 : 0.0);
      EXPECT_EQ(kv.v[i], i < 9 * 64 ? 1.5 : 0.0);
    }
    EXPECT_EQ(std::memcmp(rig.stored().PageData(entry), whole.stored().PageData(entry),
                          rig.stored().layout().page_bytes),
              0);
  }
}

TEST(KvAttentionTest, ScratchIsCountedAndBounded) {
  AttentionRig rig({.kv_heads = 2, .head_dim = 64, .max_rows = 512});
  const size_t pages = 512 / 32 + 2;
  EXPECT_GE(rig.attention().scratch_bytes(), pages * 2 * MakeSliceLayout(kKvF32, 64).bytes);
  EXPECT_LE(rig.attention().scratch_bytes(), pages * 2 * MakeSliceLayout(kKvF32, 64).bytes + 65536);
}

}  // namespace
}  // namespace intactkv
