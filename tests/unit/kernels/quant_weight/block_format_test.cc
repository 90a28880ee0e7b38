// Blocks of weight files: what they mean, and that the containers hold exactly that.
#include "kernels/quant/block_format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/quant/weight_format.h"

namespace intactkv {
namespace {

constexpr BlockType kQuantized[] = {
    BlockType::kQ8_0, BlockType::kQ4_0, BlockType::kQ4_1, BlockType::kQ5_0, BlockType::kQ5_1,
    BlockType::kQ2_K, BlockType::kQ3_K, BlockType::kQ4_K, BlockType::kQ5_K, BlockType::kQ6_K};

std::vector<std::byte> SplitMixBytes(uint64_t seed, size_t count) {
  std::vector<std::byte> out;
  while (out.size() < count) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::byte>(z >> 8 * i));
  }
  out.resize(count);
  return out;
}

uint64_t Digest(const std::vector<float>& values) {
  uint64_t out = 0xcbf29ce484222325u;
  for (const float value : values) {
    const uint32_t bits = std::isnan(value) ? 0x7fc00000u : std::bit_cast<uint32_t>(value);
    for (int i = 0; i < 4; ++i) out = (out ^ (bits >> 8 * i & 255u)) * 0x100000001b3u;
  }
  return out;
}

// Digests by make_block_digests.py: the gguf package's own dequantizers on the same bytes.
TEST(BlockFormatTest, ValuesAreThoseOfAnotherImplementation) {
  struct Row {
    BlockType type;
    uint64_t seed;  // the type's number in files
    size_t bytes;
    uint64_t digest;
  };
  constexpr Row kRows[] = {{BlockType::kQ8_0, 8, 34, 0x56f6921024cb7f64},
                           {BlockType::kQ4_0, 2, 18, 0xfa0512eb64dcfbb7},
                           {BlockType::kQ4_1, 3, 20, 0x3b07046894013f46},
                           {BlockType::kQ5_0, 6, 22, 0x087643894ee60ee7},
                           {BlockType::kQ5_1, 7, 24, 0x5aa2907f93a2c7e1},
                           {BlockType::kQ2_K, 10, 84, 0x2a70a9a61041c77d},
                           {BlockType::kQ3_K, 11, 110, 0x0ee5d1634df28f2c},
                           {BlockType::kQ4_K, 12, 144, 0x426562cbde57deb9},
                           {BlockType::kQ5_K, 13, 176, 0xf232529d18b1e115},
                           {BlockType::kQ6_K, 14, 210, 0x77ab8a6741d7cd54}};
  constexpr int kBlocks = 64;
  for (const Row& row : kRows) {
    SCOPED_TRACE(StoredName(row.type));
    ASSERT_EQ(BlockBytes(row.type), row.bytes);
    const int cols = kBlocks * BlockColumns(row.type);
    EXPECT_EQ(RowBytes(row.type, cols), kBlocks * row.bytes);
    const std::vector<std::byte> bytes = SplitMixBytes(row.seed, kBlocks * row.bytes);
    std::vector<float> values(static_cast<size_t>(cols));
    DequantizeBlocks(row.type, bytes.data(), cols, values.data());
    EXPECT_EQ(Digest(values), row.digest);
  }
}

// Where the fp16 parameters of a block lie.
std::vector<size_t> ParamPlaces(BlockType type) {
  const size_t size = BlockBytes(type);
  switch (type) {
    case BlockType::kQ2_K:
      return {size - 4, size - 2};
    case BlockType::kQ3_K:
    case BlockType::kQ6_K:
      return {size - 2};
    case BlockType::kQ8_0:
    case BlockType::kQ4_0:
    case BlockType::kQ5_0:
      return {0};
    default:
      return {0, 2};
  }
}

// Zeros, subnormals, the largest and smallest normal numbers, infinities, NaNs; either sign.
constexpr uint16_t kExtremeHalves[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x83ff,
                                       0x0400, 0x8400, 0x3c00, 0xbc00, 0x7bff, 0xfbff,
                                       0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xfe00};

// Random blocks, and blocks of all-0, all-1 and random bits under every pair of extreme parameters.
std::vector<std::vector<std::byte>> Blocks(BlockType type) {
  const size_t size = BlockBytes(type);
  std::vector<std::vector<std::byte>> out;
  for (uint64_t seed = 0; seed < 300; ++seed) out.push_back(SplitMixBytes(seed, size));
  const std::vector<size_t> places = ParamPlaces(type);
  for (const uint16_t first : kExtremeHalves) {
    for (const uint16_t second : kExtremeHalves) {
      for (const int fill : {0, 255, 1}) {
        std::vector<std::byte> block(size, static_cast<std::byte>(fill));
        if (fill == 1) block = SplitMixBytes(first * 99u + second, size);
        std::memcpy(&block[places[0]], &first, 2);
        if (places.size() == 2) std::memcpy(&block[places[1]], &second, 2);
        out.push_back(std::move(block));
      }
    }
  }
  return out;
}

// Bit for bit, but for the sign and payload of NaNs.
bool Same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

// Blocks of one type as the rows of a container, next to each other, so that a code or a parameter
// in a neighbour's place shows.
TEST(BlockFormatTest, ContainersHoldBlocksExactly) {
  for (const BlockType type : kQuantized) {
    SCOPED_TRACE(StoredName(type));
    const std::vector<std::vector<std::byte>> blocks = Blocks(type);
    const CodeFormat format = StoredCodeFormat(type);
    const int columns = BlockColumns(type);
    const int groups = columns / format.group;
    const TileLayout layout{
        .format = format, .rows = static_cast<int64_t>(blocks.size()) / 3, .cols = 3 * columns};
    std::vector<std::byte> memory(layout.bytes());
    const TileWeights tiles = PlaceTiles(layout, memory.data());
    const auto each = [&](const auto& use) {
      for (int64_t row = 0; row < layout.rows; ++row) {
        for (int64_t b = 0; b < 3; ++b) use(row, b, blocks[static_cast<size_t>(row * 3 + b)]);
      }
    };
    each([&](int64_t row, int64_t b, const std::vector<std::byte>& block) {
      CodeGroup read[kMaxBlockGroups];
      ReadBlock(type, block.data(), read);
      for (int g = 0; g < groups; ++g) StoreGroup(tiles, row, b * groups + g, read[g]);
    });
    int not_finite = 0;
    each([&](int64_t row, int64_t b, const std::vector<std::byte>& block) {
      float want[kSuperBlock];
      float got[kSuperBlock];
      DequantizeBlocks(type, block.data(), columns, want);
      for (int g = 0; g < groups; ++g) {
        DequantizeGroup(format, LoadGroup(tiles, row, b * groups + g), got + g * format.group);
      }
      for (int i = 0; i < columns; ++i) {
        ASSERT_TRUE(Same(got[i], want[i])) << row << " " << i << " " << got[i] << " " << want[i];
        not_finite += std::isfinite(want[i]) ? 0 : 1;
      }
    });
    EXPECT_GT(not_finite, 0);  // kept, not refused: such weights make logits that fail the request
  }
}

TEST(BlockFormatTest, ContainersAreNoLargerThanTheFilesByMoreThanTheirFactors) {
  struct Row {
    BlockType type;
    int bytes;  // of 256 values of one row in a container
  };
  constexpr Row kRows[] = {{BlockType::kQ8_0, 272},          {BlockType::kQ4_0, 144},
                           {BlockType::kQ4_1, 160},          {BlockType::kQ5_0, 176},
                           {BlockType::kQ5_1, 192},          {BlockType::kQ2_K, 128 + 4 + 32},
                           {BlockType::kQ3_K, 128 + 2 + 16}, {BlockType::kQ4_K, 128 + 4 + 16},
                           {BlockType::kQ5_K, 160 + 4 + 16}, {BlockType::kQ6_K, 192 + 2 + 16}};
  for (const Row& row : kRows) {
    const TileLayout layout{.format = StoredCodeFormat(row.type), .rows = 16 * 4, .cols = 1024};
    EXPECT_EQ(layout.bytes(), static_cast<size_t>(row.bytes) * 64 * 4) << StoredName(row.type);
  }
}

struct Matrix {
  BlockType type;
  int64_t rows, cols;
  int count = 1;
};

double ContainerBytesPerFileByte(const std::vector<Matrix>& matrices) {
  size_t container = 0;
  size_t file = 0;
  for (const Matrix& m : matrices) {
    const TileLayout layout{.format = StoredCodeFormat(m.type), .rows = m.rows, .cols = m.cols};
    container += layout.bytes() * static_cast<size_t>(m.count);
    file += RowBytes(m.type, m.cols) * static_cast<size_t>(m.rows * m.count);
  }
  return static_cast<double>(container) / static_cast<double>(file);
}

// The two kinds of "Q4_K_M": one whose width is a multiple of 256, and one that falls back to
// blocks of 32 (Qwen2.5 0.5B), where only the down projections are K-quants.
TEST(BlockFormatTest, MixesOfFilesReadAtMostFivePercentMore) {
  using enum BlockType;
  const double wide = ContainerBytesPerFileByte({{kQ4_K, 4096, 4096, 64},
                                                 {kQ4_K, 1024, 4096, 48},
                                                 {kQ6_K, 1024, 4096, 16},
                                                 {kQ4_K, 14336, 4096, 64},
                                                 {kQ4_K, 4096, 14336, 16},
                                                 {kQ6_K, 4096, 14336, 16},
                                                 {kQ6_K, 128256, 4096}});
  EXPECT_LE(wide, 1.05);
  EXPECT_GT(wide, 1.0);
  const double narrow = ContainerBytesPerFileByte({{kQ5_0, 896, 896, 48},
                                                   {kQ5_0, 128, 896, 24},
                                                   {kQ8_0, 128, 896, 12},
                                                   {kQ5_0, 128, 896, 12},
                                                   {kQ5_0, 4864, 896, 48},
                                                   {kQ4_K, 896, 4864, 12},
                                                   {kQ6_K, 896, 4864, 12},
                                                   {kQ8_0, 151936, 896}});
  EXPECT_LE(narrow, 1.05);
  EXPECT_GE(narrow, 1.0);
}

}  // namespace
}  // namespace intactkv
