#include "kernels/quant/page_pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "engine/base/rng.h"

namespace intactkv {
namespace {

constexpr SideFormat kSides[] = {SideFormat::kF32, SideFormat::kF16, SideFormat::kBF16,
                                 SideFormat::kI8, SideFormat::kI4};

// Random canonical bytes; codes of kI4 below 16.
std::vector<std::byte> RandomCanonical(KvFormat format, int head_dim, uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> out(CanonicalSliceBytes(format, head_dim));
  for (std::byte& b : out) b = static_cast<std::byte>(rng() & 0xffu);
  const size_t codes = static_cast<size_t>(kPageTokens * head_dim);
  const size_t v = CanonicalSideBytes(format.k, KvSide::kK, head_dim);
  for (size_t i = 0; i < codes; ++i) {
    if (format.k == SideFormat::kI4) out[i] &= std::byte{0x0f};
    if (format.v == SideFormat::kI4) out[v + i] &= std::byte{0x0f};
  }
  return out;
}

TEST(PagePackTest, PackAndUnpackAreInverse) {
  for (int head_dim = 32; head_dim <= 256; head_dim += 32) {
    for (const SideFormat k : kSides) {
      for (const SideFormat v : kSides) {
        const KvFormat format{k, v};
        const std::vector<std::byte> canonical = RandomCanonical(format, head_dim, 5);
        std::vector<std::byte> slice(MakeSliceLayout(format, head_dim).bytes, std::byte{0xa5});
        PackSlice(format, head_dim, canonical, slice.data());
        std::vector<std::byte> back(canonical.size());
        UnpackSlice(format, head_dim, slice.data(), back);
        ASSERT_EQ(back, canonical) << KvFormatName(format) << " " << head_dim;
        std::vector<std::byte> again(slice.size(), std::byte{0xa5});
        PackSlice(format, head_dim, back, again.data());
        ASSERT_EQ(again, slice) << KvFormatName(format) << " " << head_dim;
      }
    }
  }
}

// The layout that kernels read, spelled out once more: page_format.h.
TEST(PagePackTest, ElementsLieWhereTheFormatSays) {
  constexpr int kDim = 64;
  constexpr size_t kToken = 21, kD = 45;  // group 1, lane 5; block 2, lane 13
  const size_t at = kToken * kDim + kD;
  const auto slice_of = [&](KvFormat format, size_t element, bool in_v) {
    std::vector<std::byte> canonical(CanonicalSliceBytes(format, kDim));
    const size_t side = in_v ? CanonicalSideBytes(format.k, KvSide::kK, kDim) : 0;
    canonical[side + at * element] = std::byte{0x0b};
    std::vector<std::byte> slice(MakeSliceLayout(format, kDim).bytes);
    PackSlice(format, kDim, canonical, slice.data());
    size_t found = slice.size();
    for (size_t i = 0; i < slice.size(); ++i) {
      if (slice[i] != std::byte{0}) found = i;
    }
    const SliceLayout layout = MakeSliceLayout(format, kDim);
    const int value = std::to_integer<int>(slice[found]);
    return std::pair(found - (in_v ? layout.v_data : layout.k_data), value);
  };
  EXPECT_EQ(slice_of(kKvF32, 4, false), std::pair((kDim + 45) * size_t{64} + 5 * 4, 0x0b));
  EXPECT_EQ(slice_of(kKvF32, 4, true), std::pair(at * 4, 0x0b));
  EXPECT_EQ(slice_of(kKvF16, 2, false), std::pair((32 + 22) * size_t{64} + (5 * 2 + 1) * 2, 0x0b));
  EXPECT_EQ(slice_of(kKvF16, 2, true), std::pair(size_t{10 * 128 + 45 * 2 + 1} * 2, 0x0b));
  EXPECT_EQ(slice_of(kKvBF16, 2, false), slice_of(kKvF16, 2, false));
  EXPECT_EQ(slice_of(kKvBF16, 2, true), slice_of(kKvF16, 2, true));
  EXPECT_EQ(slice_of(kKvI8C, 1, false), std::pair((16 + 11) * size_t{64} + 5 * 4 + 1, 0x0b));
  EXPECT_EQ(slice_of(kKvI8C, 1, true), std::pair((5 * 4 + 2) * size_t{64} + 13 * 4 + 1, 0x0b));
  EXPECT_EQ(slice_of(kKvI4C, 1, false), std::pair((8 + 5) * size_t{64} + 5 * 4 + 1, 0xb0));
  EXPECT_EQ(slice_of(kKvI4C, 1, true), std::pair((2 * 4 + 2) * size_t{64} + 13 * 4 + 1, 0xb0));
  EXPECT_EQ(slice_of(kKvK8V4, 1, false), slice_of(kKvI8C, 1, false));
  EXPECT_EQ(slice_of(kKvK8V4, 1, true), slice_of(kKvI4C, 1, true));
}

TEST(PagePackTest, BytesPerTokenAreThoseOfTheFormat) {
  const auto per_token = [](KvFormat format, int head_dim) {
    return MakeSliceLayout(format, head_dim).bytes / kPageTokens;
  };
  for (const size_t dims : {64u, 128u}) {
    const int head_dim = static_cast<int>(dims);
    EXPECT_EQ(per_token(kKvF32, head_dim), 8 * dims);
    EXPECT_EQ(per_token(kKvF16, head_dim), 4 * dims);
    EXPECT_EQ(per_token(kKvBF16, head_dim), 4 * dims);
    EXPECT_EQ(per_token(kKvI8C, head_dim), 2 * dims + dims / 8 + 4);
    EXPECT_EQ(per_token(kKvK8V4, head_dim), 3 * dims / 2 + dims / 8 + 4);
    EXPECT_EQ(per_token(kKvI4C, head_dim), dims + dims / 8 + 4);
  }
  EXPECT_EQ(per_token(kKvK8V4, 64), 108u);
  EXPECT_EQ(per_token(kKvK8V4, 128), 212u);
}

TEST(PagePackTest, WrittenTokensAreTheCanonicalOnes) {
  constexpr int kDim = 96;
  const SliceLayout layout = MakeSliceLayout(kKvF32, kDim);
  std::vector<std::byte> slice(layout.bytes);
  std::vector<float> values(2 * kPageTokens * kDim);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (int token = 0; token < kPageTokens; ++token) {
    const float* k = values.data() + token * kDim;
    const float* const kv[2] = {k, k + kPageTokens * kDim};
    WriteF32Token(layout, kDim, token, kv, slice.data());
  }
  std::vector<std::byte> canonical(CanonicalSliceBytes(kKvF32, kDim));
  UnpackSlice(kKvF32, kDim, slice.data(), canonical);
  EXPECT_EQ(std::memcmp(canonical.data(), values.data(), canonical.size()), 0);
}

}  // namespace
}  // namespace intactkv
