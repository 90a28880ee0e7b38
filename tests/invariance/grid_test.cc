// An answer's bits under every combination of load (load_grid.h) are those of the request alone.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <set>
#include <string>

#include "tests/invariance/load_grid.h"
#include "tests/invariance/loaded_run.h"

namespace intactkv::test {
namespace {

constexpr int kNumSlices = 20;
constexpr int kOtherIsasEvery = 7;

// INTACTKV_GRID_SLICE, else by the day: twenty days see every cell.
int SliceOfToday() {
  const char* chosen = std::getenv("INTACTKV_GRID_SLICE");
  if (chosen != nullptr && *chosen != '\0') return std::atoi(chosen) % kNumSlices;
  return static_cast<int>(std::time(nullptr) / (24 * 3600) % kNumSlices);
}

// Without SIMD a token takes some 40 times as long: only cells that compute each token once.
bool IsTooSlow(const Cell& cell, Isa isa) { return isa == Isa::kScalar && cell.preempted; }

// The widest instruction set for all cells, every narrower one for every seventh.
int RunOnItsIsas(const Cell& cell, size_t index, int32_t seed) {
  int num_runs = 0;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    const bool takes_all = isa == HostIsa();
    if (isa > HostIsa() || (!takes_all && index % kOtherIsasEvery != 0)) continue;
    if (!takes_all && IsTooSlow(cell, isa)) continue;
    ExpectSoloUnderLoad(cell, isa, seed);
    ++num_runs;
  }
  return num_runs;
}

TEST(InvarianceGrid, EveryCellOnce) {
  std::set<std::string> names;
  for (const Cell& cell : AllCells()) names.insert(CellName(cell, Isa::kScalar, 0));
  EXPECT_EQ(names.size(), 10'752u);
}

TEST(InvarianceGrid, ATwentiethOfTheCells) {
  const int slice = SliceOfToday();
  std::printf("twentieth %d of 0..19 (INTACTKV_GRID_SLICE)\n", slice);
  const std::vector<Cell> cells = AllCells();
  int num_cells = 0, num_runs = 0;
  std::set<std::string> tables;
  for (auto i = static_cast<size_t>(slice); i < cells.size(); i += kNumSlices) {
    num_runs += RunOnItsIsas(cells[i], i, 0);
    tables.insert(cells[i].stored.Name());
    ++num_cells;
  }
  std::printf("%d cells, %d runs\n", num_cells, num_runs);
  EXPECT_GE(num_cells, kNumCells / kNumSlices);
  EXPECT_EQ(tables.size(), kStoredTables.size());
}

class LongInvarianceGrid : public testing::TestWithParam<int32_t> {};

TEST_P(LongInvarianceGrid, AllCells) {
  const std::vector<Cell> cells = AllCells();
  int num_runs = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    num_runs += RunOnItsIsas(cells[i], i, GetParam());
    if ((i + 1) % 512 != 0 && i + 1 != cells.size()) continue;
    std::printf("%zu of %zu cells, %d runs\n", i + 1, cells.size(), num_runs);
    std::fflush(stdout);
  }
  EXPECT_GE(num_runs, kNumCells);
}

INSTANTIATE_TEST_SUITE_P(Seed, LongInvarianceGrid, testing::Range(0, kNumSeeds),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace intactkv::test
