#include "kernels/cpu/kv_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "engine/base/rng.h"

namespace intactkv {
namespace {

constexpr KvShape kShape{.num_layers = 3, .num_kv_heads = 2, .head_dim = 64};

TEST(KvPoolTest, ImportOfAnExportChangesNoBit) {
  for (const KvFormat format : {kKvF32, kKvF16, kKvI8C, kKvI4C}) {
    const ClassLayout layout = MakeClassLayout(kShape, format);
    auto made = MakeCpuKvPool(layout, 3);
    ASSERT_TRUE(made.ok());
    auto& pool = static_cast<CpuKvPool&>(**made);
    Rng rng(1);
    for (size_t i = 0; i < pool.bytes(); ++i) {
      pool.PageData(0)[i] = static_cast<std::byte>(rng() & 0xffu);
    }
    std::vector<std::byte> canonical(CanonicalPageBytes(layout));
    pool.ExportPage(1, canonical);
    pool.ImportPage(2, canonical);
    EXPECT_EQ(std::memcmp(pool.PageData(1), pool.PageData(2), layout.page_bytes), 0)
        << KvFormatName(format);
    EXPECT_NE(std::memcmp(pool.PageData(0), pool.PageData(2), layout.page_bytes), 0);
  }
}

TEST(KvPoolTest, CanonicalFormGoesLayerByLayerThenHeadByHead) {
  const ClassLayout layout = MakeClassLayout(kShape, kKvF32);
  auto made = MakeCpuKvPool(layout, 1);
  ASSERT_TRUE(made.ok());
  auto& pool = static_cast<CpuKvPool&>(**made);
  const float marks[2] = {7.0f, 8.0f};  // first K and first V of (layer 2, head 1)
  std::byte* slice = pool.PageData(0) + layout.SliceOffset(2, 1);
  std::memcpy(slice, &marks[0], 4);
  std::memcpy(slice + layout.layers[2].slice.v_data, &marks[1], 4);
  std::vector<float> canonical(CanonicalPageBytes(layout) / 4);
  pool.ExportPage(0, std::as_writable_bytes(std::span(canonical)));
  EXPECT_EQ(canonical[5 * 2 * 32 * 64], 7.0f);
  EXPECT_EQ(canonical[5 * 2 * 32 * 64 + 32 * 64], 8.0f);
}

TEST(KvPoolTest, PagesAreAlignedAndApart) {
  const ClassLayout layout = MakeClassLayout(kShape, kKvI4C);
  auto made = MakeCpuKvPool(layout, 5);
  ASSERT_TRUE(made.ok());
  auto& pool = static_cast<CpuKvPool&>(**made);
  EXPECT_EQ(pool.num_pages(), 5);
  EXPECT_EQ(pool.bytes(), 5 * layout.page_bytes);
  for (int slot = 0; slot < 5; ++slot) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pool.PageData(slot)) % 128, 0u);
  }
}

TEST(KvPoolTest, RefusesWhatMemoryCannotHold) {
  const ClassLayout layout = MakeClassLayout(kShape, kKvF32);
  EXPECT_EQ(MakeCpuKvPool(layout, 2000000000).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MakeCpuKvPool(layout, -1).status().code(), absl::StatusCode::kInvalidArgument);
  auto none = MakeCpuKvPool(layout, 0);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ((*none)->bytes(), 0u);
}

}  // namespace
}  // namespace intactkv
