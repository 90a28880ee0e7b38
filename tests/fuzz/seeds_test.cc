// Each fuzz target on each of its committed seeds, findings of old among them: a target that no
// longer compiles, or a fault that comes back, is seen without a fuzzer.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#define INTACTKV_FUZZ_TARGET(name) extern "C" int name(const uint8_t* data, size_t size);
#include "fuzz_targets.inc"
#undef INTACTKV_FUZZ_TARGET

namespace intactkv {
namespace {

namespace fs = std::filesystem;

struct FuzzTarget {
  const char* name;
  int (*run)(const uint8_t* data, size_t size);
};

const FuzzTarget kTargets[] = {
#define INTACTKV_FUZZ_TARGET(name) {#name, &::name},
#include "fuzz_targets.inc"
#undef INTACTKV_FUZZ_TARGET
};

std::vector<uint8_t> ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class FuzzSeedsTest : public ::testing::TestWithParam<FuzzTarget> {};

TEST_P(FuzzSeedsTest, EachIsTaken) {
  int seeds = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(INTACTKV_FUZZ_SEEDS) / GetParam().name)) {
    SCOPED_TRACE(entry.path().filename().string());
    const std::vector<uint8_t> bytes = ReadAll(entry.path());
    EXPECT_FALSE(bytes.empty());
    EXPECT_EQ(GetParam().run(bytes.data(), bytes.size()), 0);
    ++seeds;
  }
  EXPECT_GE(seeds, 3);
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzSeedsTest, ::testing::ValuesIn(kTargets),
                         [](const auto& info) { return info.param.name; });

TEST(FuzzSeedsSizeTest, TheCorpusStaysSmall) {
  uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(INTACTKV_FUZZ_SEEDS)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LE(bytes, 300'000u);
}

}  // namespace
}  // namespace intactkv
