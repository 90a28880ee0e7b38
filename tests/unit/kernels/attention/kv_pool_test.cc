#include "kernels/cpu/kv_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "engine/base/rng.h"

namespace intactkv {
namespace {

constexpr KvShape kShape{.num_layers = 3, .num_kv_heads = 2, .head_dim = 64};

TEST(KvPoolTest, ImportOfAnExportChangesNoBit) {
  using Table = std::vector<KvFormat>;
  for (const Table& table :
       {Table(3, kKvF32), Table(3, kKvF16), Table(3, kKvBF16), Table(3, kKvI8C), Table(3, kKvK8V4),
        Table(3, kKvI4C), Table{kKvBF16, kKvK8V4, kKvI4C}}) {
    const ClassLayout layout = MakeClassLayout(kShape, table);
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
        << KvFormatName(table[0]) << " " << KvFormatName(table[2]);
    EXPECT_NE(std::memcmp(pool.PageData(0), pool.PageData(2), layout.page_bytes), 0);
  }
}

TEST(KvPoolTest, EachLayerLiesInItsOwnFormatBehindTheOneBefore) {
  const KvFormat table[] = {kKvBF16, kKvK8V4, kKvI4C};
  const ClassLayout layout = MakeClassLayout(kShape, table);
  size_t offset = 0;
  for (size_t layer = 0; layer < 3; ++layer) {
    const SliceLayout slice = MakeSliceLayout(table[layer], kShape.head_dim);
    EXPECT_EQ(layout.layers[layer].format, table[layer]);
    EXPECT_EQ(layout.layers[layer].slice.bytes, slice.bytes);
    EXPECT_EQ(layout.SliceOffset(static_cast<int>(layer), 0), offset);
    EXPECT_EQ(layout.SliceOffset(static_cast<int>(layer), 1), offset + slice.bytes);
    offset += 2 * slice.bytes;
  }
  EXPECT_EQ(layout.page_bytes, offset);
}

TEST(KvPoolTest, PagesTakePartsIfEveryLayerIsFloat) {
  const auto takes = [](std::vector<KvFormat> table) {
    return TakesPartialPages(MakeClassLayout(kShape, table));
  };
  EXPECT_TRUE(takes({kKvF32, kKvF16, kKvBF16}));
  EXPECT_FALSE(takes({kKvF32, kKvF32, kKvI8C}));
  EXPECT_FALSE(takes({kKvK8V4, kKvF32, kKvF32}));
  EXPECT_FALSE(takes({kKvF32, {SideFormat::kF32, SideFormat::kI4}, kKvF32}));
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
