#include "tests/invariance/load_grid.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace intactkv::test {

Case Cell::Request(int32_t seed) const {
  return {.prefix_length = 45 + seed, .num_private = num_private(), .max_new_tokens = 4};
}

std::string CellName(const Cell& cell, Isa isa, int32_t seed) {
  const std::string chunk = cell.chunk == kWholePrompt ? "all" : std::to_string(cell.chunk);
  return std::string(IsaName(isa)) + "/" + cell.stored.Name() + "/prefix_" +
         (cell.prefix_cache ? "on" : "off") + "/fill_" + std::to_string(cell.fill_percent) +
         "/residue_" + std::to_string(cell.residue) + "/chunk_" + chunk +
         (cell.preempted ? "/preempted" : "/undisturbed") + "/seed_" + std::to_string(seed);
}

std::vector<Cell> AllCells() {
  std::vector<Cell> cells;
  for (int32_t i = 0; i < kNumCells; ++i) {
    int32_t rest = i;
    const auto next = [&rest](int32_t count) { return std::exchange(rest, rest / count) % count; };
    Cell cell;
    cell.stored = kStoredTables[static_cast<size_t>(next(std::ssize(kStoredTables)))];
    cell.prefix_cache = next(2) == 1;
    cell.fill_percent = next(2) == 1 ? 100 : 30;
    cell.residue = next(32);
    cell.chunk = kChunks[next(7)];
    cell.preempted = next(2) == 1;
    CHECK_EQ(rest, 0);
    cells.push_back(cell);
  }
  Rng rng(1);
  for (size_t i = cells.size() - 1; i > 0; --i) std::swap(cells[i], cells[rng.Below(i + 1)]);
  return cells;
}

}  // namespace intactkv::test
